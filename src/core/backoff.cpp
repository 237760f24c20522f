#include "walrelay/core/backoff.hpp"

#include <algorithm>

namespace walrelay {

duration backoff::wait(std::uint32_t failures, std::uint64_t random) const noexcept {
    // 2^20 times any base is far above any cap: the shift can't overflow.
    const auto doublings = std::min<std::uint32_t>(failures == 0 ? 0 : failures - 1, 20);
    const duration longest = std::min<duration>(cap, base * (1LL << doublings));
    if (longest <= duration::zero()) return duration::zero();
    const auto span = static_cast<std::uint64_t>(longest.count()) + 1;
    return duration{static_cast<duration::rep>(random % span)};
}

}  // namespace walrelay
