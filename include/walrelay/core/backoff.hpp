// Exponential backoff with full jitter.
#pragma once

#include <cstdint>

#include "walrelay/core/clock.hpp"

namespace walrelay {

/// Waits grow as base, 2 base, 4 base … up to cap; each wait is drawn evenly from [0, that], so
/// that clients which failed together do not come back together ("full jitter").
struct backoff {
    duration base = std::chrono::milliseconds{200};
    duration cap = std::chrono::seconds{60};

    /// The wait before attempt `failures` + 1. `random` is any evenly distributed 64-bit number.
    [[nodiscard]] duration wait(std::uint32_t failures, std::uint64_t random) const noexcept;
};

}  // namespace walrelay
