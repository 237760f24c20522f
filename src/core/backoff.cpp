#include "walrelay/core/backoff.hpp"

#include <algorithm>

namespace walrelay {

duration backoff::wait(std::uint32_t failures, std::uint64_t random) const noexcept {
    // Doubling stops at the cap instead of after it: a base of hours would overflow.
    duration longest = std::min(base, cap);
    for (std::uint32_t i = 1; i < failures && longest < cap && longest > duration::zero(); ++i) {
        longest = longest > cap / 2 ? cap : longest * 2;
    }
    if (longest <= duration::zero()) return duration::zero();
    const auto span = static_cast<std::uint64_t>(longest.count()) + 1;
    return duration{static_cast<duration::rep>(random % span)};
}

}  // namespace walrelay
