// Names of HTTP headers.
#pragma once

#include <string>
#include <string_view>

#include "walrelay/core/header_name.hpp"

namespace walrelay::config {

/// Header names are compared without case.
[[nodiscard]] std::string lower_case(std::string_view name);

}  // namespace walrelay::config
