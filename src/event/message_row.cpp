#include "walrelay/event/message_row.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "position_id.hpp"
#include "walrelay/core/json_text.hpp"
#include "walrelay/core/type_oid.hpp"

namespace walrelay::event {

namespace {

using text_or_null = std::optional<std::string_view>;

/// The columns in their order in message_relation().
enum column : std::size_t { id, topic, key, type, payload, raw, headers, column_count };

constexpr std::array<std::string_view, column_count> names{"id",      "topic", "key",    "type",
                                                           "payload", "raw",   "headers"};
constexpr std::array<std::uint32_t, column_count> types{
    type_oid::uuid,  type_oid::text,  type_oid::text, type_oid::text,
    type_oid::jsonb, type_oid::bytea, type_oid::jsonb};

using columns = std::array<text_or_null, column_count>;

/// Which column a member is; `raw` is none of them, as text can't say bytes.
std::size_t column_of(std::string_view member) noexcept {
    for (std::size_t i = 0; i < column_count; ++i) {
        if (i != raw && names[i] == member) return i;
    }
    return column_count;
}

/// The members' literals, by column; nothing when the object is not one of ours.
std::optional<columns> literals_of(std::string_view content) {
    object_scanner scanner{content};
    if (!scanner.accept('{') || !is_json(content) || scanner.accept('}')) return std::nullopt;
    columns found;
    std::string name;
    do {
        name.clear();
        const std::size_t member = column_of(unescaped(scanner.value(), name));
        scanner.accept(':');
        if (member == column_count || found[member]) return std::nullopt;
        found[member] = scanner.value();
    } while (scanner.accept(','));
    if (!found[topic] || !is_string_literal(*found[topic])) return std::nullopt;
    for (text_or_null& value : found) {
        if (value == "null") value.reset();
    }
    for (const std::size_t text : {id, key, type}) {
        if (found[text] && !is_string_literal(*found[text])) return std::nullopt;
    }
    if (found[headers] && !found[headers]->starts_with('{')) return std::nullopt;
    return found;
}

/// The columns of what is ours. `decoded` holds the strings that had escapes.
std::optional<columns> take_apart(std::string_view content, std::string& decoded) {
    auto found = literals_of(content);
    if (!found) return std::nullopt;
    constexpr std::array strings{id, topic, key, type};
    std::size_t bytes = 0;
    for (const std::size_t text : strings)
        bytes += (*found)[text].value_or("").size();
    decoded.reserve(bytes);  // so that it stays where it is while views of it are made
    for (const std::size_t text : strings) {
        text_or_null& value = (*found)[text];
        if (value) value = unescaped(*value, decoded);
    }
    return found;
}

/// Writes columns as pgoutput does, into memory that is large enough.
class row_writer {
public:
    explicit row_writer(std::byte* to) noexcept : to_{to} {}

    void null() noexcept { *to_++ = std::byte{'n'}; }

    void text(std::string_view value) noexcept {
        begin(value.size());
        std::memcpy(to_, value.data(), value.size());
        to_ += value.size();
    }

    void hex(std::span<const std::byte> value) noexcept {
        constexpr std::string_view digits = "0123456789abcdef";
        begin(hex_size(value.size()));
        put('\\');
        put('x');
        for (const std::byte byte : value) {
            put(digits[std::to_integer<std::size_t>(byte >> 4)]);
            put(digits[std::to_integer<std::size_t>(byte & std::byte{15})]);
        }
    }

    static std::size_t hex_size(std::size_t bytes) noexcept { return 2 + 2 * bytes; }

private:
    void put(char c) noexcept { *to_++ = static_cast<std::byte>(c); }

    void begin(std::size_t size) noexcept {
        put('t');
        for (const int shift : {24, 16, 8, 0})
            *to_++ = static_cast<std::byte>(size >> shift);
    }

    std::byte* to_;
};

constexpr std::size_t value_header_bytes = 5;  // 't' and the length

}  // namespace

std::shared_ptr<const pgoutput::relation> message_relation(std::string_view prefix) {
    auto made = std::make_shared<pgoutput::relation>();
    made->name = "message:" + std::string{prefix};
    for (std::size_t i = 0; i < column_count; ++i)
        made->columns.push_back({std::string{names[i]}, types[i]});
    return made;
}

std::size_t content_bytes(const pgoutput::tuple_view& row) noexcept {
    std::size_t bytes = 0;
    std::size_t at = 0;
    for (const pgoutput::value_view value : row) {
        const std::size_t size = value.text.size();
        if (at == raw) {
            bytes += size / 2 - (size >= 2 ? 1 : 0);
        } else if (at != id) {  // which may have been made of the position
            bytes += size;
        }
        ++at;
    }
    return bytes;
}

message_row::message_row(std::span<const std::byte> content, const row_position& position) {
    std::string decoded;
    std::string made_id;
    const std::string_view text{reinterpret_cast<const char*>(content.data()), content.size()};
    const auto ours = take_apart(text, decoded);
    columns values = ours.value_or(columns{});
    if (!values[id]) {
        append_position_id(made_id, position);
        values[id] = made_id;
    }
    const auto is_body = [&](std::size_t column) { return column == raw && !ours; };
    for (std::size_t i = 0; i < column_count; ++i) {
        size_ += 1;
        if (is_body(i)) {
            size_ += value_header_bytes - 1 + row_writer::hex_size(content.size());
        } else if (values[i]) {
            size_ += value_header_bytes - 1 + values[i]->size();
        }
    }
    bytes_ = std::make_unique_for_overwrite<std::byte[]>(size_);
    row_writer out{bytes_.get()};
    for (std::size_t i = 0; i < column_count; ++i) {
        if (is_body(i)) {
            out.hex(content);
        } else if (values[i]) {
            out.text(*values[i]);
        } else {
            out.null();
        }
    }
}

pgoutput::tuple_view message_row::row() const noexcept {
    return {column_count, {bytes_.get(), size_}};
}

}  // namespace walrelay::event
