// Time as the pure modules see it: an argument, never a call.
#pragma once

#include <chrono>

namespace walrelay {

/// Monotonic. Pure code is handed one; adapters read std::chrono::steady_clock.
using time_point = std::chrono::steady_clock::time_point;
using duration = std::chrono::steady_clock::duration;

/// "No deadline".
inline constexpr time_point never = time_point::max();

}  // namespace walrelay
