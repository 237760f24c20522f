#include "aside_rows.hpp"

#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "cells.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::postgres {

namespace {

using origin = event::row_position::origin;

constexpr std::array<std::pair<origin, const char*>, 3> origins{{
    {origin::row, "row"},
    {origin::message, "message"},
    {origin::lone_message, "lone_message"},
}};

constexpr std::array<std::pair<engine::aside_state, const char*>, 4> states{{
    {engine::aside_state::parked, "parked"},
    {engine::aside_state::held, "held"},
    {engine::aside_state::delivered, "delivered"},
    {engine::aside_state::dropped, "dropped"},
}};

const char* to_text(origin what) noexcept {
    for (const auto& [known, text] : origins)
        if (known == what) return text;
    return "row";
}

std::string ascii(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            out += c;
        } else {
            out += "\\x";
            out += digits[byte >> 4U];
            out += digits[byte & 0xFU];
        }
    }
    return out;
}

std::string in_form(std::string_view text, text_form form) {
    return form == text_form::ascii ? ascii(text) : std::string{text};
}

std::string without_nul(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\0') {
            out += "\xEF\xBF\xBD";
        } else {
            out += c;
        }
    }
    return out;
}

/// An object of the array that is being written.
class json_object {
public:
    explicit json_object(std::string& out) : out_{out} {
        out_ += out_.empty() ? '[' : ',';
        out_ += '{';
    }

    ~json_object() { out_.back() = '}'; }

    json_object(const json_object&) = delete;
    json_object& operator=(const json_object&) = delete;

    void text(const char* name, std::string_view value) {
        begin(name);
        out_ += '"';
        if (value.find('\0') == std::string_view::npos) {
            append_json_escaped(out_, value);
        } else {
            append_json_escaped(out_, without_nul(value));
        }
        out_ += "\",";
    }

    template <class Integer>
    void number(const char* name, Integer value) {
        plain(name, std::to_string(value));
    }

    void plain(const char* name, std::string_view value) {
        begin(name);
        out_ += value;
        out_ += ',';
    }

private:
    void begin(const char* name) {
        out_ += '"';
        out_ += name;
        out_ += "\":";
    }

    std::string& out_;
};

std::string closed(std::string array) {
    return array.empty() ? "[]" : std::move(array) + "]";
}

std::int64_t as_signed(std::uint64_t hash) {
    return static_cast<std::int64_t>(hash);
}

void append_big_endian(std::string& out, std::uint32_t value) {
    for (std::uint32_t shift = 32; shift > 0; shift -= 8)
        out += static_cast<char>(value >> (shift - 8));
}

}  // namespace

std::vector<statement::parameter> fenced(const aside_scope& scope) {
    return {{scope.slot, false},
            {std::to_string(scope.epoch), false},
            {scope.system_identifier, false}};
}

sql_error about_slot(sql_error failure, const char* operation, const aside_scope& scope) {
    failure.what.cause = failure.what.object + ": " + failure.what.cause;
    failure.what.operation = operation;
    failure.what.object = "slot \"" + printable(scope.slot) + "\"";
    return failure;
}

sql_error not_understood(const char* operation, const aside_scope& scope) {
    sql_error failure;
    failure.what.operation = operation;
    failure.what.object = "slot \"" + printable(scope.slot) + "\"";
    failure.what.cause = "a row of walrelay.parked isn't of the known form";
    failure.what.hint = "a newer schema may have written it: upgrade walrelay first";
    return failure;
}

const char* to_text(engine::aside_state state) noexcept {
    for (const auto& [known, text] : states)
        if (known == state) return text;
    return "parked";
}

std::optional<engine::aside_state> state_of(std::string_view text) noexcept {
    for (const auto& [state, known] : states)
        if (known == text) return state;
    return std::nullopt;
}

std::string rows_as_json(std::span<const aside_insert* const> rows, text_form form) {
    const auto shown = [form](std::string_view text) { return in_form(text, form); };
    std::string out;
    std::size_t n = 0;
    for (const aside_insert* const one : rows) {
        const stream_place place = one->position.place();
        json_object row{out};
        row.number("n", ++n);
        row.text("lsn", to_string(place.commit_lsn));
        row.number("ordinal", place.ordinal);
        row.number("message_number", place.message);
        row.text("origin", to_text(one->position.what));
        row.number("xid", one->position.xid);
        row.number("us", one->position.commit_time_us);
        if (one->lane) row.number("lane", as_signed(*one->lane));
        row.text("source_table", shown(one->table));
        row.text("event_id", shown(one->event_id));
        row.text("sink", one->sink);
        row.text("destination", shown(one->destination));
        if (one->key) row.text("key", shown(*one->key));
        if (one->type) row.text("type", shown(*one->type));
        row.text("error", shown(one->error));
        row.number("attempts", one->attempts);
        row.text("state", to_text(one->state));
        row.plain("holds_key", one->holds_key ? "true" : "false");
    }
    return closed(std::move(out));
}

std::string changes_as_json(std::span<const engine::aside_change* const> rows, text_form form) {
    std::string out;
    for (const engine::aside_change* const one : rows) {
        json_object row{out};
        row.number("id", one->id);
        row.text("state", to_text(one->state));
        row.plain("holds_key", one->holds_key ? "true" : "false");
        row.number("attempts", one->attempts);
        row.text("error", in_form(one->reason, form));
    }
    return closed(std::move(out));
}

std::string lanes_as_json(std::span<const aside_lane> lanes) {
    std::string out;
    std::size_t n = 0;
    for (const aside_lane& one : lanes) {
        json_object row{out};
        row.number("n", n++);
        row.text("sink", one.sink);
        if (one.lane) row.number("lane", as_signed(*one.lane));
        if (one.id) row.number("id", *one.id);
        row.plain("redriven", one.redriven ? "true" : "false");
        row.number("most", one.most_rows);
    }
    return closed(std::move(out));
}

std::string bytea_array(std::span<const std::string* const> values) {
    constexpr std::uint32_t bytea_oid = 17;
    std::size_t size = 20;
    for (const std::string* const one : values)
        size += 4 + one->size();
    std::string out;
    out.reserve(size);
    append_big_endian(out, values.empty() ? 0 : 1);  // dimensions
    append_big_endian(out, 0);                       // no NULLs
    append_big_endian(out, bytea_oid);
    if (values.empty()) return out;
    append_big_endian(out, static_cast<std::uint32_t>(values.size()));
    append_big_endian(out, 1);  // of the first index
    for (const std::string* const one : values) {
        append_big_endian(out, static_cast<std::uint32_t>(one->size()));
        out += *one;
    }
    return out;
}

std::string id_array(std::span<const engine::aside_id> ids) {
    std::string out = "{";
    for (const engine::aside_id id : ids) {
        if (out.size() > 1) out += ',';
        out += std::to_string(id);
    }
    out += '}';
    return out;
}

result<intake::stored_row> stored_row_of(const row_set& rows, std::size_t row, std::size_t first) {
    const auto commit = parse_lsn(rows.text(row, first));
    const auto ordinal = integer_cell<std::int32_t>(rows, row, first + 1);
    const auto number = integer_cell<std::uint32_t>(rows, row, first + 2);
    const auto xid = integer_cell<std::uint32_t>(rows, row, first + 4);
    const auto time = integer_cell<std::int64_t>(rows, row, first + 5);
    if (!commit || !ordinal || !number)
        return intake::not_as_written("lsn, ordinal and message_number are no place of the stream");
    if (!xid) return intake::not_as_written("xid is none");
    if (!time) return intake::not_as_written("committed_at is none");
    intake::stored_row read;
    read.position.commit_lsn = *commit;
    read.position.xid = *xid;
    read.position.commit_time_us = *time;
    const std::string_view what = rows.text(row, first + 3);
    if (what == "row" && *ordinal >= 0 && *number == 0) {
        read.position.ordinal = static_cast<std::uint32_t>(*ordinal);
    } else if (what == "message" && *ordinal >= -1 && *number > 0) {
        read.position.what = origin::message;
        read.position.ordinal = *number - 1;
        read.position.rows_before = static_cast<std::uint32_t>(*ordinal + 1);
    } else if (what == "lone_message" && *ordinal == -1 && *number == 0) {
        read.position.what = origin::lone_message;
    } else {
        return intake::not_as_written("origin doesn't go with ordinal and message_number");
    }
    read.relation = rows.text(row, first + 6);
    return read;
}

void take_message(intake::stored_row& row, std::string_view message) {
    row.message = std::make_unique_for_overwrite<std::byte[]>(message.size());
    row.message_bytes = message.size();
    if (!message.empty()) std::memcpy(row.message.get(), message.data(), message.size());
}

std::optional<std::uint64_t> lane_cell(const row_set& rows, std::size_t row, std::size_t column) {
    const auto lane = integer_cell<std::int64_t>(rows, row, column);
    if (!lane) return std::nullopt;
    return static_cast<std::uint64_t>(*lane);
}

}  // namespace walrelay::postgres
