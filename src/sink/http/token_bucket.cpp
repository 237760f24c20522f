#include "token_bucket.hpp"

#include <algorithm>

namespace walrelay::sink::http {

token_bucket::token_bucket(const config::request_rate& rate) noexcept {
    if (rate.count == 0) return;
    const auto whole = std::chrono::duration_cast<duration>(rate.per).count();
    const auto count = static_cast<duration::rep>(rate.count);
    interval_ = duration{(whole + count - 1) / count};  // rounded up: never more than asked for
    const duration kept = kept_for;
    kept_ = std::max(duration{0}, kept / interval_ * interval_ - interval_);
}

time_point token_bucket::ready_at() const noexcept {
    return full_at_ - kept_;
}

void token_bucket::take(time_point now) noexcept {
    if (interval_ == duration{0}) return;
    full_at_ = std::max(full_at_, now) + interval_;
}

}  // namespace walrelay::sink::http
