#include "walrelay/engine/lanes.hpp"

#include <algorithm>

#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

lanes::lane_key lanes::key_of(delivery_index at) const {
    const delivery& one = pool_[at];
    return one.keyed ? lane_key{one.key_hash, true} : lane_key{at, false};
}

lanes::lane& lanes::lane_of(delivery_index at) {
    const auto found = lanes_.find(key_of(at));
    require(pool_[at].in_lane && found != lanes_.end(), "I6: a delivery lost its lane");
    return found->second;
}

void lanes::add(delivery_index at) {
    order_.push_back(pool_, at);
    delivery& added = pool_[at];
    if (!laned_ || !added.keyed) return make_ready(at);

    lane& own = lanes_[key_of(at)];
    const bool first = own.events.empty();
    own.events.push_back(pool_, at);
    added.in_lane = true;
    const bool must_wait = depth_ == lane_depth::serial ? !first : own.failures > 0;
    if (must_wait) {
        added.now = delivery::state::waiting;
    } else {
        make_ready(at);
    }
}

void lanes::make_ready(delivery_index at) {
    pool_[at].now = delivery::state::ready;
    ready_.push_back(pool_, at);
}

void lanes::leave_queue(delivery_index at) {
    delivery& one = pool_[at];
    if (one.now == delivery::state::ready) ready_.remove(pool_, at);
    if (one.now == delivery::state::gated) targets_.at(one.target_hash).held.remove(pool_, at);
    if (one.target_probe) {  // was chosen, was not sent: the next one is
        one.target_probe = false;
        if (const auto shut = targets_.find(one.target_hash); shut != targets_.end()) {
            shut->second.probe = no_delivery;
            targets_due_ = std::min(targets_due_, shut->second.until);
        }
    }
    one.now = delivery::state::waiting;
}

// ---- sending

std::optional<delivery_index> lanes::next(time_point now) {
    release_due(now);
    while (!ready_.empty()) {
        const bool sink_stalled = barrier_.failures > 0;
        if (sink_stalled && (barrier_.probe != no_delivery || now < barrier_.until))
            return std::nullopt;
        if (suspects_ > 0 && in_flight_ > 0)
            return std::nullopt;  // one at a time, to see whom to blame

        delivery_index at = ready_.front();
        ready_.remove(pool_, at);
        if (!targets_.empty() && held_by_target(at, now)) continue;

        if (sink_stalled) {
            barrier_.probe = at;
            pool_[at].sink_probe = true;
        }
        start_attempt(at);
        return at;
    }
    return std::nullopt;
}

void lanes::start_attempt(delivery_index at) {
    delivery& one = pool_[at];
    if (one.in_lane) {
        lane& own = lane_of(at);
        require(depth_ == lane_depth::pipelined || own.events.front() == at,
                "I6: an attempt began before an earlier event of its lane was resolved");
        require(own.failures == 0 || (own.events.front() == at && own.in_flight == 0),
                "I6: an event was sent past a failed one of its lane");
        ++own.in_flight;
    }
    one.now = delivery::state::in_flight;
    one.sent_alone = in_flight_ == 0 && suspects_ > 0;
    full_ = false;
    ++one.serial;
    ++one.attempts;
    ++in_flight_;
}

void lanes::sent_back(delivery_index at) {
    delivery& one = pool_[at];
    --one.attempts;
    --in_flight_;
    if (one.in_lane) --lane_of(at).in_flight;
    if (one.sink_probe) barrier_.probe = no_delivery;
    one.sink_probe = false;
    full_ = true;
    one.now = delivery::state::ready;
    ready_.push_front(pool_, at);
}

// ---- outcomes

attempt_history lanes::history_of(delivery_index at) const {
    const delivery& one = pool_[at];
    attempt_history known;
    known.lane_failures = 1;
    if (one.in_lane) {
        const lane& own = lanes_.at(key_of(at));
        known.lane_failures = own.failures + (own.draining ? 0 : 1);
    }
    const auto target = targets_.find(one.target_hash);
    const std::uint32_t target_failures = target == targets_.end() ? 0 : target->second.failures;
    known.target_failures = target_failures + (target_failures == 0 || one.target_probe ? 1 : 0);
    known.sink_failures = barrier_.failures + (barrier_.failures == 0 || one.sink_probe ? 1 : 0);
    known.refusals = one.refusals;
    known.sent_alone = one.sent_alone;
    return known;
}

lanes::verdict lanes::attempt_ended(delivery_index at, const outcome& seen, time_point now,
                                    std::uint64_t random) {
    delivery& one = pool_[at];
    require(one.now == delivery::state::in_flight, "I6: an outcome for a record that was not sent");
    --in_flight_;
    full_ = false;  // there is room again
    if (one.orphaned) {
        one.now = delivery::state::unused;
        return verdict::resolved;
    }
    if (seen.what == outcome_class::delivered && !one.in_lane && barrier_.failures == 0 &&
        targets_.empty()) {  // the good path
        take_out(at);
        return verdict::resolved;
    }
    if (one.in_lane) --lane_of(at).in_flight;
    if (seen.what == outcome_class::event || seen.what == outcome_class::event_final)
        ++one.refusals;

    const directive follows = decide(seen, history_of(at), random);
    close_barriers(at, seen, follows, now);
    switch (follows.what) {
        case directive::kind::resolve:
            return succeeded(at);
        case directive::kind::retry_alone:
            if (!one.suspect) ++suspects_;
            one.suspect = true;
            [[fallthrough]];
        case directive::kind::retry_lane:
            fail_lane(at, seen, now + follows.wait, now);
            return verdict::waits;
        case directive::kind::stall_target:
        case directive::kind::stall_sink:
            fail_lane(at, seen, now, now);
            return verdict::waits;
        case directive::kind::halt:
            break;
    }
    fail_lane(at, seen, never, now);
    return verdict::halt;
}

lanes::verdict lanes::succeeded(delivery_index at) {
    open_sink();
    if (!targets_.empty()) open_target(pool_[at].target_hash);
    if (!pool_[at].in_lane) {
        take_out(at);
        return verdict::resolved;
    }
    const lane_key key = key_of(at);
    lane& own = lane_of(at);
    if (own.failures > 0 && own.events.front() != at) {
        // Sent before the failure of an older record was known: it is sent again behind that one,
        // or the older record would be the last of its key at the destination.
        pool_[at].now = delivery::state::waiting;
        if (own.in_flight == 0) went_quiet(key, own);
        return verdict::waits;
    }
    resolve(at);
    return verdict::resolved;
}

/// Takes the head of a lane out, and lets the lane go on.
void lanes::resolve(delivery_index at) {
    const lane_key key = key_of(at);
    lane& own = lane_of(at);
    own.events.remove(pool_, at);
    take_out(at);
    if (own.events.empty()) {
        if (own.failures > 0) --failed_lanes_;
        lanes_.erase(key);
    } else if (own.draining) {
        if (own.in_flight == 0) went_quiet(key, own);
    } else {
        if (own.failures > 0) {
            --failed_lanes_;
            own.failures = 0;
            own.reason.clear();
        }
        // Serial: the next one. Pipelined: all that waited for the failed head, in order.
        delivery_index next = own.events.front();
        while (next != no_delivery) {
            if (pool_[next].now == delivery::state::waiting) make_ready(next);
            if (depth_ == lane_depth::serial) break;
            next = lane_list::after(pool_, next);
        }
    }
    if (failed_lanes_ == 0 && depth_ == lane_depth::pipelined && laned_) leave_laned_mode();
}

void lanes::take_out(delivery_index at) {
    delivery& gone = pool_[at];
    if (gone.suspect) --suspects_;
    order_.remove(pool_, at);
    gone.now = delivery::state::unused;
}

void lanes::fail_lane(delivery_index at, const outcome& seen, time_point retry_at, time_point now) {
    pool_[at].now = delivery::state::waiting;
    if (!pool_[at].in_lane) {
        if (pool_[at].keyed) {
            enter_laned_mode();
        } else {
            lanes_[key_of(at)].events.push_back(pool_, at);
            pool_[at].in_lane = true;
        }
    }
    const lane_key key = key_of(at);
    lane& own = lane_of(at);
    own.reason = seen.reason;
    if (own.draining) {  // another record of the same round
        own.retry_at = std::max(own.retry_at, retry_at);
    } else {
        if (own.failures++ == 0) {
            own.since = now;
            ++failed_lanes_;
        }
        own.retry_at = retry_at;
        own.draining = true;
        for (delivery_index next = own.events.front(); next != no_delivery;
             next = lane_list::after(pool_, next)) {
            if (pool_[next].now != delivery::state::in_flight) leave_queue(next);
        }
    }
    if (own.in_flight == 0) went_quiet(key, own);
}

/// Nothing of a failed lane is on the wire any more: its head waits until retry_at.
void lanes::went_quiet(lane_key key, lane& quiet) {
    quiet.draining = false;
    quiet.backing_off = true;
    retries_.push({quiet.retry_at, key});
}

void lanes::enter_laned_mode() {
    laned_ = true;
    for (delivery_index at = order_.front(); at != no_delivery; at = order_list::after(pool_, at)) {
        delivery& one = pool_[at];
        if (one.in_lane || !one.keyed) continue;
        lane& own = lanes_[key_of(at)];
        own.events.push_back(pool_, at);
        one.in_lane = true;
        if (one.now == delivery::state::in_flight) ++own.in_flight;
    }
}

void lanes::leave_laned_mode() {
    for (auto& [key, left] : lanes_) {
        for (delivery_index at = left.events.front(); at != no_delivery;
             at = lane_list::after(pool_, at)) {
            pool_[at].in_lane = false;
        }
    }
    lanes_.clear();
    retries_ = {};
    laned_ = false;
}

// ---- overview

void lanes::forget(const std::function<void(delivery_index)>& drop) {
    delivery_index at = order_.front();
    while (at != no_delivery) {
        const delivery_index after = order_list::after(pool_, at);
        delivery& one = pool_[at];
        one.in_lane = one.sink_probe = one.target_probe = one.suspect = false;
        if (one.now == delivery::state::in_flight) {
            one.orphaned = true;
        } else {
            one.now = delivery::state::unused;
        }
        drop(at);
        at = after;
    }
    order_.clear();
    ready_.clear();
    lanes_.clear();
    retries_ = {};
    barrier_.probe = no_delivery;
    for (auto& [target, shut] : targets_) {
        shut.held.clear();
        shut.probe = no_delivery;
    }
    failed_lanes_ = suspects_ = 0;
    targets_due_ = never;
    full_ = false;
    laned_ = depth_ == lane_depth::serial;
}

time_point lanes::wake_at() const noexcept {
    if (full_) return never;  // whoever made room says so
    time_point wake = targets_due_;
    if (!retries_.empty()) wake = std::min(wake, retries_.top().at);
    const bool waits_for_outcome = suspects_ > 0 && in_flight_ > 0;
    if (barrier_.failures > 0 && barrier_.probe == no_delivery && !ready_.empty() &&
        !waits_for_outcome) {
        wake = std::min(wake, barrier_.until);
    }
    return wake;
}

}  // namespace walrelay::engine
