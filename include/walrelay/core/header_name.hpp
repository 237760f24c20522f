// Names of headers.
#pragma once

#include <string_view>

namespace walrelay {

/// Names of headers are equal without regard to ASCII case.
[[nodiscard]] bool same_name(std::string_view left, std::string_view right) noexcept;

}  // namespace walrelay
