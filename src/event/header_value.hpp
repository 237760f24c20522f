// Column values as headers, in the text that Kafka Connect would give them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace walrelay::event {

/// How the text of a column becomes the value of a header. Debezium's Outbox Event Router leaves
/// header values to Connect's SimpleHeaderConverter; its text is given where it follows from the
/// type alone. Else, and for values without an ordinary form (infinity, years before Christ), it
/// is Postgres' text, which differs from Connect's for: timestamp and time (there a count of milli-
/// or microseconds, as the column's precision says), numeric without a scale and intervals
/// (structs), double precision and real beyond plain decimals (1e+20, there 1.0E20; 1, there 1.0),
/// arrays ({a,b}, there ["a","b"]).
enum class header_form : std::uint8_t {
    text,     ///< as it is: numbers, text, uuid, json, jsonb
    boolean,  ///< true, false
    bytes,    ///< bytea: base64
    date,     ///< days since 1970-01-01
    instant,  ///< timestamptz: 2019-03-24T18:52:59.123456Z, with the digits that Postgres writes
};

/// By the OID of the column's type.
[[nodiscard]] header_form header_form_of(std::uint32_t type) noexcept;

/// At most so many bytes are appended by header_text().
[[nodiscard]] std::size_t header_text_bound(header_form form, std::string_view value) noexcept;

/// `value` itself, or a view of what was appended to `scratch`.
[[nodiscard]] std::string_view header_text(header_form form, std::string_view value,
                                           std::string& scratch);

}  // namespace walrelay::event
