#include "replication_reader.hpp"

#include <cerrno>
#include <stdexcept>

#include <libpq-fe.h>
#include <poll.h>

namespace walrelay::bench {

namespace {

/// Big-endian integers and strings from the front of a message; throws when it is too short.
class cursor {
public:
    explicit cursor(std::string_view bytes) : rest_(bytes) {}

    std::string_view take(std::size_t size) {
        if (size > rest_.size()) throw std::runtime_error("a message of the server is cut short");
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }

    std::uint64_t number(std::size_t size) {
        std::uint64_t value = 0;
        for (const char byte : take(size))
            value = value << 8 | static_cast<unsigned char>(byte);
        return value;
    }

    std::string_view text() {
        const std::string_view value = take(rest_.find('\0'));
        take(1);
        return value;
    }

private:
    std::string_view rest_;
};

void put(std::string& out, std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8)
        out += static_cast<char>(value >> shift & 0xff);
}

}  // namespace

void replication_reader::closer::operator()(pg_conn* connection) const noexcept {
    PQfinish(connection);
}

replication_reader::replication_reader(const std::string& conninfo)
    : connection_(PQconnectdb((conninfo + " replication=database").c_str())) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
        throw std::runtime_error(PQerrorMessage(connection_.get()));
    }
}

void replication_reader::start(const std::string& slot, const std::string& publication) {
    const std::string command = "START_REPLICATION SLOT \"" + slot +
                                "\" LOGICAL 0/0 (proto_version '1', publication_names '\"" +
                                publication + "\"')";
    const std::unique_ptr<PGresult, void (*)(PGresult*)> answer(
        PQexec(connection_.get(), command.c_str()), PQclear);
    if (PQresultStatus(answer.get()) != PGRES_COPY_BOTH) {
        throw std::runtime_error(PQerrorMessage(connection_.get()));
    }
}

void replication_reader::read(int timeout_ms, const handler& handle) {
    pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
    const int ready = poll(&socket, 1, timeout_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) return;
    if (PQconsumeInput(connection_.get()) == 0) {
        throw std::runtime_error(PQerrorMessage(connection_.get()));
    }
    for (;;) {
        char* data = nullptr;
        const int size = PQgetCopyData(connection_.get(), &data, 1);
        if (size == 0) return;
        if (size < 0) throw std::runtime_error(PQerrorMessage(connection_.get()));
        const std::unique_ptr<char, void (*)(void*)> owner(data, PQfreemem);
        handle_frame({data, static_cast<std::size_t>(size)}, handle);
    }
}

void replication_reader::handle_frame(std::string_view frame, const handler& handle) {
    cursor input(frame);
    switch (input.take(1)[0]) {
        case 'w':
            input.take(24);
            handle_message(frame.substr(25), handle);
            break;
        case 'k':
            input.take(16);
            if (input.number(1) != 0) send_status(0);
            break;
        default:
            throw std::runtime_error("an unknown frame of the server");
    }
}

void replication_reader::handle_message(std::string_view message, const handler& handle) {
    cursor input(message);
    switch (input.take(1)[0]) {
        case 'R':
            learn_columns(message);
            break;
        case 'I':
            handle_insert(message, handle);
            break;
        case 'C':
            input.take(9);
            committed_ = input.number(8);
            break;
        default:
            break;
    }
}

void replication_reader::learn_columns(std::string_view relation) {
    cursor input(relation);
    input.take(5);
    input.text();
    input.text();
    input.take(1);
    const int columns = static_cast<int>(input.number(2));
    key_column_ = payload_column_ = -1;
    for (int column = 0; column < columns; ++column) {
        input.take(1);
        const std::string_view name = input.text();
        input.take(8);
        if (name == "key") key_column_ = column;
        if (name == "payload") payload_column_ = column;
    }
    if (key_column_ < 0 || payload_column_ < 0) {
        throw std::runtime_error("the table has no columns key and payload");
    }
}

void replication_reader::handle_insert(std::string_view insert, const handler& handle) const {
    cursor input(insert);
    input.take(6);
    const int columns = static_cast<int>(input.number(2));
    row found;
    for (int column = 0; column < columns; ++column) {
        if (input.take(1) != "t") continue;
        const std::string_view value = input.take(input.number(4));
        if (column == key_column_) found.key = value;
        if (column == payload_column_) found.payload = value;
    }
    handle(found);
}

void replication_reader::acknowledge() {
    send_status(committed_);
}

void replication_reader::send_status(std::uint64_t flushed) {
    std::string status = "r";
    put(status, committed_);
    put(status, flushed);
    put(status, flushed);
    put(status, 0);  // the client's clock, which nothing reads here
    status += '\0';
    if (PQputCopyData(connection_.get(), status.data(), static_cast<int>(status.size())) != 1 ||
        PQflush(connection_.get()) != 0) {
        throw std::runtime_error(PQerrorMessage(connection_.get()));
    }
}

}  // namespace walrelay::bench
