// Text from rows and servers made safe for logs, JSON and SQL.
#pragma once

#include <string>
#include <string_view>

namespace walrelay {

/// Appends `text` as the inside of a JSON string (no quotes): control characters, `"` and `\` are
/// escaped, bytes that are not UTF-8 become U+FFFD.
void append_json_escaped(std::string& out, std::string_view text);

/// `text` for a log line or an error text: control characters, what ends a line or turns its
/// direction (U+2028, U+202E…), and bytes that are not UTF-8 as \xNN; cut after `limit_bytes` with
/// the number of bytes that were left out.
std::string printable(std::string_view text, std::size_t limit_bytes = 200);

/// True when every byte sequence of `text` is well-formed UTF-8 (RFC 3629).
bool is_utf8(std::string_view text) noexcept;

/// `"name"` with `"` doubled: a SQL identifier that keeps its case.
std::string quote_identifier(std::string_view name);

/// `'text'` with `'` doubled. For standard_conforming_strings and the replication grammar, where a
/// backslash is an ordinary character.
std::string quote_literal(std::string_view text);

}  // namespace walrelay
