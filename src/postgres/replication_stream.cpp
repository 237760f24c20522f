#include "walrelay/postgres/replication_stream.hpp"

#include <algorithm>
#include <stdexcept>

#include "connection_state.hpp"
#include "failure.hpp"
#include "stream_pump.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::postgres {

namespace asio = boost::asio;

namespace {

using clock = std::chrono::steady_clock;
using watched_socket = asio::posix::stream_descriptor;

constexpr std::size_t name_bytes_max = 63;  // the server cuts longer ones, and would take another
constexpr std::chrono::seconds start_limit{60};

/// The other end of a stream whose peer vanished is noticed by its walsender after this long; the
/// holder's proofs are timed by half of it. A server that has it shorter keeps its own.
constexpr const char* lower_timeout =
    "SELECT pg_catalog.set_config('wal_sender_timeout', '30s', false) FROM pg_catalog.pg_settings"
    " WHERE name = 'wal_sender_timeout' AND (setting = '0' OR setting::integer > 30000)";

std::string quoted_slot(const std::string& slot) {
    return "slot \"" + printable(slot) + "\"";
}

bool is_slot_name(const std::string& name) {
    return !name.empty() && name.size() <= name_bytes_max &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
           });
}

bool is_identifier(const std::string& name) {
    return !name.empty() && name.size() <= name_bytes_max && name.find('\0') == std::string::npos;
}

sql_error bad_name(std::string object, std::string hint) {
    sql_error failure;
    failure.what.operation = "start replication from";
    failure.what.object = std::move(object);
    failure.what.cause = "not a possible name";
    failure.what.hint = std::move(hint);
    return failure;
}

/// The list is read twice: as a literal, and as identifiers, which fold case unless quoted.
std::string start_command(const stream_request& request) {
    std::string names;
    for (const std::string& each : request.publications) {
        if (!names.empty()) names += ',';
        names += quote_identifier(each);
    }
    return "START_REPLICATION SLOT " + quote_identifier(request.slot) +
           " LOGICAL 0/0 (proto_version '1', publication_names " + quote_literal(names) +
           (request.messages ? ", messages 'true')" : ")");
}

/// Waits for the transactions that are writing now, as every new slot does.
asio::awaitable<sql_result<void>> make_temporary_slot(connection& link, const std::string& slot) {
    std::string command = "CREATE_REPLICATION_SLOT " + quote_identifier(slot) +
                          " TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT";
    std::vector<std::optional<std::string>> none;
    constexpr std::chrono::hours as_long_as_it_takes{24};
    const auto made = co_await link.query(std::move(command), std::move(none), as_long_as_it_takes);
    if (!made) co_return made.error();
    co_return sql_result<void>{};
}

/// Sends the command and waits for its first answer.
asio::awaitable<sql_result<result_handle>> ask(connection::state& inside, std::string command) {
    PGconn* const link = inside.link.get();
    const time_point deadline = clock::now() + start_limit;
    if (link == nullptr || PQsendQuery(link, command.c_str()) != 1) {
        co_return lost("start replication from", inside.where,
                       link == nullptr ? "the connection is lost" : PQerrorMessage(link));
    }
    bool ready = true;
    while (ready && PQflush(link) == 1) {
        ready = co_await wait_for_socket(inside.socket, watched_socket::wait_write, deadline);
    }
    bool readable = true;
    while (ready && readable && PQisBusy(link) == 1) {
        ready = co_await wait_for_socket(inside.socket, watched_socket::wait_read, deadline);
        readable = !ready || PQconsumeInput(link) == 1;
    }
    if (!ready) {
        co_return lost("start replication from", inside.where, "no answer in time; given up");
    }
    result_handle answer{PQgetResult(link)};
    if (!answer) co_return lost("start replication from", inside.where, PQerrorMessage(link));
    co_return std::move(answer);
}

/// After a refusal the results are read to their end, so that SQL is possible again.
asio::awaitable<void> finish_refusal(connection::state& inside) {
    PGconn* const link = inside.link.get();
    const time_point deadline = clock::now() + start_limit;
    for (;;) {
        bool readable = true;
        while (readable && PQisBusy(link) == 1) {
            const bool ready =
                co_await wait_for_socket(inside.socket, watched_socket::wait_read, deadline);
            if (!ready) co_return;
            readable = PQconsumeInput(link) == 1;
        }
        const result_handle next{PQgetResult(link)};
        if (!next || PQresultStatus(next.get()) == PGRES_COPY_BOTH) co_return;
    }
}

/// The server's refusals name an option or a rule; the catalog says what the slot really is.
asio::awaitable<void> explain(connection& link, const std::string& slot, sql_error& failure) {
    std::string sql =
        "SELECT slot_type, coalesce(plugin, ''), coalesce(database, ''),"
        " pg_catalog.current_database(), coalesce(wal_status, '')"
        " FROM pg_catalog.pg_replication_slots WHERE slot_name = ";
    sql += quote_literal(slot);
    std::vector<std::optional<std::string>> none;
    const auto rows = co_await link.query(std::move(sql), std::move(none));
    if (!rows || rows->size() != 1) co_return;
    const auto text = [&](std::size_t column) { return printable(rows->text(0, column)); };
    error& what = failure.what;
    if (text(0) != "logical") {
        what.cause = "it is a physical slot (" + what.cause + ")";
        what.hint = "name a logical slot with the plugin pgoutput in source.slot";
    } else if (text(2) != text(3)) {
        what.cause = "it belongs to database \"" + text(2) + "\", this connection is to \"" +
                     text(3) + "\" (" + what.cause + ")";
        what.hint = "check dbname in source.conninfo, or name another slot in source.slot";
    } else if (text(1) != "pgoutput") {
        what.cause = "its plugin is \"" + text(1) + "\", not pgoutput (" + what.cause + ")";
        what.hint = "name a slot with the plugin pgoutput in source.slot";
    } else if (text(4) == "lost") {
        what.cause += "; wal_status is lost";
        what.hint =
            "the server removed WAL that the slot needs (max_slot_wal_keep_size); walrelay recover "
            "repairs";
    }
}

class pumped_stream : public replication_stream {
public:
    explicit pumped_stream(std::shared_ptr<stream_pump> pump) noexcept : pump_{std::move(pump)} {}

    ~pumped_stream() override { pump_->abandon(); }

    pumped_stream(const pumped_stream&) = delete;
    pumped_stream& operator=(const pumped_stream&) = delete;

    void pause() override { pump_->pause(); }

    void resume() override { pump_->resume(); }

    bool send_status(const pgoutput::standby_status& status) override {
        const auto message = pgoutput::encode(status);
        return pump_->send(message);
    }

    [[nodiscard]] bool peer_is_gone() const noexcept override { return pump_->peer_is_gone(); }

    asio::awaitable<void> close() override { return pump_->close(); }

    [[nodiscard]] int backend_pid() const noexcept override { return pump_->backend_pid(); }

private:
    std::shared_ptr<stream_pump> pump_;
};

}  // namespace

asio::awaitable<sql_result<std::unique_ptr<replication_stream>>> replication_stream::start(
    std::unique_ptr<connection> link, stream_request request, stream_handler& handler,
    reading_pace pace) {
    connection::state& inside = link->internals();
    if (!inside.replication) throw std::logic_error{"replication_stream: an SQL connection"};
    if (!is_slot_name(request.slot)) {
        co_return bad_name(quoted_slot(request.slot),
                           "source.slot takes lower-case letters, digits and _, at most 63");
    }
    for (const std::string& each : request.publications) {
        if (is_identifier(each)) continue;
        co_return bad_name("publication \"" + printable(each) + "\"",
                           "source.publication takes names of 1 to 63 bytes");
    }
    inside.on_notice = [&handler](std::string text) { handler.on_server_notice(std::move(text)); };
    std::string lower = lower_timeout;
    std::vector<std::optional<std::string>> none;
    const auto lowered = co_await link->query(std::move(lower), std::move(none));
    if (!lowered) co_return lowered.error();

    if (request.temporary) {
        const auto made = co_await make_temporary_slot(*link, request.slot);
        if (!made) co_return made.error();
    }
    std::string command = start_command(request);
    const auto answer = co_await ask(inside, std::move(command));
    if (!answer) co_return answer.error();
    if (PQresultStatus(answer->get()) != PGRES_COPY_BOTH) {
        sql_error failure = server_error("start replication from", quoted_slot(request.slot),
                                         answer->get(), inside.link.get());
        co_await finish_refusal(inside);
        if (failure.sqlstate != "55006") co_await explain(*link, request.slot, failure);
        failure.connection_lost = true;  // `link` ends here
        co_return failure;
    }
    auto pump =
        std::make_shared<stream_pump>(std::move(link), std::move(request.slot), handler, pace);
    co_return std::unique_ptr<replication_stream>{new pumped_stream{std::move(pump)}};
}

}  // namespace walrelay::postgres
