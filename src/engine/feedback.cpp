#include "walrelay/engine/feedback.hpp"

#include <algorithm>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

namespace {

constexpr duration spacing = std::chrono::milliseconds{10};

}  // namespace

void feedback::restart(duration period, bool same_history, time_point now) {
    period_ = period;
    last_sent_ = now - period;  // the first status goes out at once
    reply_due_ = false;
    acked_ = wal_end_ = {};
    if (!same_history) highest_acked_ = {};
    asked_in_a_row_ = 0;
}

void feedback::heard(lsn wal_end, bool reply_requested, time_point now) {
    const bool moved = wal_end > wal_end_;
    wal_end_ = std::max(wal_end_, wal_end);
    if (!reply_requested) return;
    reply_due_ = !planted(bug::keepalive_reply_forgotten);
    if (moved || now - asked_since_ > std::chrono::seconds{1}) {
        asked_in_a_row_ = 0;
        asked_since_ = now;
    }
    if (!planted(bug::stopping_server_unnoticed)) ++asked_in_a_row_;
}

std::optional<status_message> feedback::due(lsn received, lsn safe, lsn recorded, bool idle,
                                            time_point now, bool at_once) {
    if (!at_once && now < wake_at(recorded)) return std::nullopt;
    last_sent_ = now;
    reply_due_ = false;
    const bool nothing_to_wait_for = idle && wal_end_ > recorded;
    if (recorded <= acked_ && nothing_to_wait_for && !planted(bug::end_of_wal_not_told)) {
        // Confirms nothing. A server that stops compares this with the end of its WAL, which the
        // record can't reach any more then; it would wait for ever.
        return status_message{wal_end_, {}};
    }
    require(recorded <= safe, "I1: an acknowledgement above what is delivered");
    require(recorded >= highest_acked_, "I2: an acknowledgement went back");
    acked_ = highest_acked_ = recorded;
    if (planted(bug::acknowledged_above_record)) return status_message{received, safe};
    return status_message{std::max(received, recorded), recorded};
}

time_point feedback::wake_at(lsn recorded) const noexcept {
    const bool soon = reply_due_ || recorded > acked_;
    if (planted(bug::silent_while_idle) && !soon) return never;
    return last_sent_ + (soon ? std::min(spacing, period_) : period_);
}

}  // namespace walrelay::engine
