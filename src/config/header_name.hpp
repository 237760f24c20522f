// Names of HTTP headers: what RFC 9110 allows, and what is not for everybody to set.
#pragma once

#include <string>
#include <string_view>

namespace walrelay::config {

/// A token (RFC 9110, 5.6.2): what a header's name may be.
[[nodiscard]] bool is_header_name(std::string_view name);

/// Hop-by-hop headers, those that frame the request, and those that the relay writes itself,
/// whatever their case.
[[nodiscard]] bool is_reserved_header(std::string_view name);

/// Header names are compared without case.
[[nodiscard]] std::string lower_case(std::string_view name);

}  // namespace walrelay::config
