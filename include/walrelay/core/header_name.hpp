// Names of headers.
#pragma once

#include <string_view>

namespace walrelay {

/// Names of headers are equal without regard to ASCII case.
[[nodiscard]] bool same_name(std::string_view left, std::string_view right) noexcept;

/// A token of RFC 9110 (5.6.2), at least one character: what a header's name may be.
[[nodiscard]] bool is_header_name(std::string_view text) noexcept;

/// Frames a request, means this connection alone ("expect": a server may wait for what isn't
/// coming), or is ours. Neither the sink map nor a row may set it.
[[nodiscard]] bool is_reserved_header(std::string_view name) noexcept;

}  // namespace walrelay
