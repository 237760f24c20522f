// What may stand in a header of a request. Nothing below this checks names or values again: a line
// break that gets past here is a second request.
#pragma once

#include <string>
#include <string_view>

namespace walrelay::sink::http {

/// A header value that every server reads the same way: space, tab and visible ASCII. The bytes
/// above 0x7F that RFC 9110 tolerates are left out because it gives them no meaning.
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;

/// Appends `text` with every byte outside 0x20–0x7E and '%' itself as %XX, and so a space at either
/// end, which a server would cut off. Percent-decoding gives back exactly `text`.
void append_percent_encoded(std::string& out, std::string_view text);

}  // namespace walrelay::sink::http
