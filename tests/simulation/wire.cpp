#include "simulation/wire.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <utility>

#include "walrelay/core/type_oid.hpp"

namespace walrelay::simulation {

namespace {

constexpr std::uint32_t event_table = 16'500;
constexpr std::uint32_t mark_table = 16'600;
constexpr std::int64_t commit_time = 800'000'000'000'000;

class message {
public:
    explicit message(char tag) {
        text_.reserve(256);
        text_ += tag;
    }

    template <class Integer>
    message& add(Integer value) {
        std::array<char, sizeof(Integer)> bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<char>(static_cast<std::uint64_t>(value) >>
                                         (8 * (bytes.size() - 1 - i)));
        text_.append(bytes.data(), bytes.size());
        return *this;
    }

    message& name(std::string_view text) {
        text_ += text;
        text_ += '\0';
        return *this;
    }

    message& column(const std::optional<std::string>& value) {
        if (!value) {
            text_ += 'n';
            return *this;
        }
        text_ += 't';
        add(static_cast<std::uint32_t>(value->size()));
        text_ += *value;
        return *this;
    }

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

std::string relation(std::uint32_t id, std::string_view schema, std::string_view table,
                     std::initializer_list<std::string_view> columns) {
    message made{'R'};
    made.add(id).name(schema).name(table).add('d').add(static_cast<std::uint16_t>(columns.size()));
    for (const std::string_view column : columns)
        made.add('\0').name(column).add(type_oid::text).add(std::uint32_t{UINT32_MAX});
    return made.text();
}

std::string insert_event(const source_row& row) {
    message made{'I'};
    made.add(event_table).add('N').add(std::uint16_t{5});
    made.column(std::to_string(row.number));
    made.column(row.lost ? "lost" : std::to_string(row.route));
    made.column(row.keyed() ? std::optional{std::string{column_of_key(row.key)}} : std::nullopt);
    made.column("t" + std::to_string(row.target));
    made.column(row.padding);
    return made.text();
}

/// As walrelay.emit_wal writes it; a transaction's own, or one that ends at `end`.
std::string emit_message(const source_row& row, bool transactional, lsn end) {
    const std::string key =
        row.keyed() ? '"' + std::string{column_of_key(row.key)} + '"' : std::string{"null"};
    const std::string content = R"({"id": ")" + std::to_string(row.number) + R"(", "topic": "t)" +
                                std::to_string(row.target) + R"(", "type": ")" +
                                (row.lost ? "lost" : std::to_string(row.route)) + R"(", "key": )" +
                                key + R"(, "payload": )" + row.body() + '}';
    message made{'M'};
    made.add(static_cast<char>(transactional ? 1 : 0)).add(end.value).name(message_prefix);
    made.add(static_cast<std::uint32_t>(content.size()));
    return made.text() + content;
}

std::string insert_mark(const operator_mark& mark) {
    std::string ids = "{";
    for (const std::int64_t id : mark.ids) {
        if (ids.size() > 1) ids += ',';
        ids += std::to_string(id);
    }
    message made{'I'};
    made.add(mark_table).add('N').add(std::uint16_t{5});
    made.column(std::to_string(mark.id)).column(mark.action).column("slot");
    made.column(mark.sink.empty() ? std::nullopt : std::optional{mark.sink}).column(ids + "}");
    return made.text();
}

}  // namespace

void wire::clear() {
    *this = wire{};
}

void wire::put(frame_note note, const std::string& payload) {
    message framed{'d'};
    framed.add(static_cast<std::uint32_t>(payload.size() + 4));
    bytes_ += framed.text();
    bytes_ += payload;
    notes_.push_back(std::move(note));
}

void wire::put_data(frame_note note, lsn start, const std::string& text) {
    message header{'w'};
    header.add(start.value).add(start.value).add(commit_time);
    put(std::move(note), header.text() + text);
}

void wire::begin(const source_transaction& unit) {
    message made{'B'};
    made.add(unit.commit.value).add(commit_time).add(std::uint32_t{700});
    put_data({frame_note::kind::begin, unit.commit, nullptr, false}, unit.commit, made.text());
}

void wire::row(const source_transaction& unit, const row_pointer& row, bool with_relation) {
    if (row->message) {
        const lsn at{unit.commit.value - 1};
        return put_data({frame_note::kind::row, unit.commit, row, false}, at,
                        emit_message(*row, true, at));
    }
    bool& known = row->mark ? knows_marks_ : knows_events_;
    if (!std::exchange(known, true) || with_relation) {
        const std::string described =
            row->mark
                ? relation(mark_table, "walrelay", "redrive",
                           {"id", "action", "slot", "sink", "ids"})
                : relation(event_table, "shop", "event", {"id", "type", "key", "topic", "payload"});
        put_data({frame_note::kind::relation, {}, nullptr, false}, lsn{}, described);
    }
    put_data({frame_note::kind::row, unit.commit, row, false}, lsn{unit.commit.value - 1},
             row->mark ? insert_mark(*row->mark) : insert_event(*row));
}

void wire::commit(const source_transaction& unit) {
    message made{'C'};
    made.add('\0').add(unit.commit.value).add(unit.end.value).add(commit_time);
    put_data({frame_note::kind::commit, unit.end, nullptr, false}, unit.commit, made.text());
}

void wire::lone_message(const source_transaction& unit) {
    put_data({frame_note::kind::lone_message, unit.commit, unit.rows.front(), false}, unit.end,
             emit_message(*unit.rows.front(), false, unit.end));
}

void wire::keepalive(lsn wal_end, bool reply_requested) {
    message made{'k'};
    made.add(wal_end.value).add(commit_time).add(static_cast<char>(reply_requested ? 1 : 0));
    put({frame_note::kind::keepalive, wal_end, nullptr, reply_requested}, made.text());
}

pgoutput::frame wire::cut(const pgoutput::frame& whole, std::size_t bytes) {
    void* const memory = std::malloc(std::max<std::size_t>(bytes, 1));  // NOLINT: as libpq gives it
    if (memory == nullptr) throw std::bad_alloc{};
    std::memcpy(memory, whole.bytes().data(), bytes);
    return {memory, bytes, std::free};
}

std::optional<std::pair<frame_note, pgoutput::frame>> wire::read(std::size_t most) {
    constexpr std::size_t header = 5;
    arrived_ = std::min(bytes_.size() - begin_, arrived_ + most);
    if (arrived_ < header) return std::nullopt;
    const char* const from = bytes_.data() + begin_;
    std::size_t size = 0;
    for (std::size_t i = 1; i < header; ++i)
        size = size << 8 | static_cast<unsigned char>(from[i]);
    if (arrived_ < size + 1) return std::nullopt;
    const std::size_t payload = size + 1 - header;
    void* const memory = std::malloc(payload);  // NOLINT: as libpq gives it
    if (memory == nullptr) throw std::bad_alloc{};
    std::memcpy(memory, from + header, payload);
    begin_ += size + 1;
    if (begin_ == bytes_.size()) {
        bytes_.clear();
        begin_ = 0;
    }
    arrived_ -= size + 1;
    std::pair read{std::move(notes_.front()), pgoutput::frame{memory, payload, std::free}};
    notes_.pop_front();
    return read;
}

}  // namespace walrelay::simulation
