// What an outcome means for the deliveries of a sink.
#include <algorithm>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"
#include "walrelay/engine/lanes.hpp"

namespace walrelay::engine {

namespace {

constexpr duration slow_attempt = std::chrono::milliseconds{100};
constexpr const char* merely_slow =
    "slower than others: what waits behind it fills half of a limit";

}  // namespace

attempt_history lanes::history_of(delivery_index at, time_point now) const {
    const delivery& one = pool_[at];
    attempt_history known;
    known.lane_failures = 1;
    duration failing_for{};
    if (one.in_lane) {
        const lane& own = lanes_.at(one.lane_of);
        known.lane_failures = own.failures + (own.draining ? 0 : 1);
        if (own.failures > 0) failing_for = now - own.since;
    }
    const auto target = targets_.find(one.target_hash);
    const std::uint32_t target_failures = target == targets_.end() ? 0 : target->second.failures;
    known.target_failures = target_failures + (target_failures == 0 || one.target_probe ? 1 : 0);
    known.sink_failures = barrier_.failures + (barrier_.failures == 0 || one.sink_probe ? 1 : 0);
    known.refusals = one.refusals;
    known.failing_lanes = one.stored == 0 ? static_cast<std::uint32_t>(failing_count_) : 0;
    known.parked_in_row = parked_in_row_;
    known.sent_alone = one.sent_alone;
    const retry_limits& limits = options_.retries;
    known.retries_spent = (limits.max_attempts > 0 && one.attempts >= limits.max_attempts) ||
                          (limits.max_age > duration{} && failing_for >= limits.max_age);
    known.halts = one.on_event_error == config::error_policy::halt;
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
        targets_.empty() && failing_count_ == 0 && parked_in_row_ == 0) {  // the good path
        note_success(one, now);
        take_out(at);
        return verdict::resolved;
    }
    if (one.in_lane) --lane_of(at).in_flight;
    if (seen.what == outcome_class::event || seen.what == outcome_class::event_final)
        ++one.refusals;
    // A held key is known to fail: that says nothing of the sink.
    if (seen.what == outcome_class::transient && one.stored == 0) note_failure(one.lane_of);

    const directive follows = decide(seen, history_of(at, now), random);
    const auto target = targets_.find(one.target_hash);
    const time_point target_failed_before =
        target == targets_.end() ? time_point{} : target->second.failed_at;
    close_barriers(at, seen, follows, now);
    const std::uint64_t target_hash = one.target_hash;
    const verdict led_to = follow(at, seen, follows, now);
    if (follows.what == directive::kind::stall_target && options_.holds)
        hold_gated(target_hash, now, target_failed_before);
    return led_to;
}

lanes::verdict lanes::follow(delivery_index at, const outcome& seen, const directive& follows,
                             time_point now) {
    switch (follows.what) {
        case directive::kind::resolve:
            return succeeded(at, now);
        case directive::kind::give_up:
            return give_up(at, seen, now);
        case directive::kind::retry_alone:
            suspect(at);
            [[fallthrough]];
        case directive::kind::retry_lane:
            fail_lane(at, seen, now + follows.wait, now);
            return verdict::waits;
        case directive::kind::stall_target:
            clear_suspicion_of_lane(at);
            break;
        case directive::kind::stall_sink:
            break;
    }
    if (seen.what == outcome_class::batch) suspect(at);  // also the next time none is to be beside
    fail_lane(at, seen, now, now);
    return verdict::waits;
}

/// Of a batch that was refused: it is sent alone until it is resolved.
void lanes::suspect(delivery_index at) {
    if (!std::exchange(pool_[at].suspect, true)) ++suspects_;
}

void lanes::clear_suspicion(delivery_index at) {
    if (std::exchange(pool_[at].suspect, false)) --suspects_;
}

/// `at` waits for its target, for long perhaps, and all behind it: no other topic is to be sent one
/// by one for that. A batch that is refused again says so.
void lanes::clear_suspicion_of_lane(delivery_index at) {
    if (suspects_ == 0) return;
    clear_suspicion(at);
    if (!pool_[at].in_lane) return;
    for (delivery_index each = lane_of(at).events.front(); each != no_delivery;
         each = lane_list::after(pool_, each)) {
        clear_suspicion(each);
    }
}

/// Something flows: what doesn't may be set aside.
void lanes::note_success(const delivery& one, time_point now) {
    if (!options_.holds) return;
    lane_successes_.note(one.lane_of, now);
    target_successes_.note(one.target_hash, now);
}

lanes::verdict lanes::succeeded(delivery_index at, time_point now) {
    open_sink();
    if (!targets_.empty()) open_target(pool_[at].target_hash);
    failing_count_ = 0;
    parked_in_row_ = 0;
    note_success(pool_[at], now);
    if (!pool_[at].in_lane) {
        take_out(at);
        return verdict::resolved;
    }
    lane& own = lane_of(at);
    if (own.held && own.held->overtaken) {
        const lane_key key = pool_[at].lane_of;
        pool_[at].now = delivery::state::waiting;
        unload(own);
        want_load(key, own);
        return verdict::waits;
    }
    if (own.failures > 0 && own.events.front() != at && !planted(bug::late_success_taken)) {
        // Sent before the failure of an older record was known: it is sent again behind that one,
        // or the older record would be the last of its key at the destination.
        pool_[at].now = delivery::state::waiting;
        if (own.in_flight == 0) went_quiet(pool_[at].lane_of, own);
        return verdict::waits;
    }
    resolve(at, now);
    return verdict::resolved;
}

/// Refused for good. What becomes of the event is its route's policy.
lanes::verdict lanes::give_up(delivery_index at, const outcome& seen, time_point now) {
    delivery& one = pool_[at];
    if (one.on_event_error == config::error_policy::halt) {
        fail_lane(at, seen, never, now);
        return verdict::halt;
    }
    ++parked_in_row_;
    const bool in_front = one.in_lane && lane_of(at).events.front() == at;
    const bool keeps_key = one.on_event_error == config::error_policy::park_key && in_front;
    if (one.stored != 0) {
        lane& own = lane_of(at);
        ++own.held->changes;
        leave_lane(at);
        take_out(at);
        if (keeps_key) unload(own);  // the next look into the store finds what is in the way
        return verdict::parked;
    }
    if (keeps_key && one.keyed()) {
        hold(one.lane_of, never, at, seen.reason);
        return verdict::parked;
    }
    leave_lane(at);
    depart(at, aside_state::parked, false, seen.reason);
    leave_laned_mode_if_healed();
    return verdict::parked;
}

/// Takes a delivery out, and lets its lane go on.
void lanes::resolve(delivery_index at, time_point now) {
    const lane_key key = pool_[at].lane_of;
    lane& own = lane_of(at);
    if (own.held) ++own.held->changes;
    // What is oldest in a fast drain only has its turn: it isn't slow.
    const bool slow = now - own.started_at >= slow_attempt;
    const bool alone_too_much = options_.holds && !own.held &&
                                (fills_limit(own) || (own.pins && slow)) &&
                                lane_successes_.beside(key) > own.started_at;
    leave_lane(at);
    take_out(at);
    if (alone_too_much && lanes_.contains(key)) hold(key, now, no_delivery, merely_slow);
    leave_laned_mode_if_healed();
}

/// Off the lane; the lane goes on, or is gone.
void lanes::leave_lane(delivery_index at) {
    delivery& one = pool_[at];
    if (!one.in_lane) return;
    lane& own = lane_of(at);
    own.events.remove(pool_, at);
    own.bytes -= one.bytes;
    own.pins = false;
    one.in_lane = false;
    go_on(one.lane_of, own);
}

void lanes::go_on(lane_key key, lane& own) {
    if (own.draining) {
        if (own.in_flight > 0) return;
        if (!own.events.empty()) return went_quiet(key, own);
        own.draining = false;
    }
    if (own.failures > 0 && !key.beside()) --failed_lanes_;
    own.failures = 0;
    own.reason.clear();
    if (own.held) {
        own.held->head = 0;
        count_in_memory(own);
    }
    if (own.events.empty()) {
        if (!own.held) lanes_.erase(key);
        return;
    }
    // Serial: the next one. Pipelined: all that waited for the failed head, in order.
    delivery_index next = own.events.front();
    while (next != no_delivery) {
        if (pool_[next].now == delivery::state::waiting) make_ready(next);
        if (serial(own)) break;
        next = lane_list::after(pool_, next);
    }
}

void lanes::take_out(delivery_index at) {
    delivery& gone = pool_[at];
    clear_suspicion(at);
    (gone.stored == 0 ? order_ : fed_).remove(pool_, at);
    gone.now = delivery::state::unused;
}

void lanes::note_failure(lane_key key) {
    const auto end = failing_.begin() + static_cast<std::ptrdiff_t>(failing_count_);
    if (failing_count_ == failing_.size() || std::find(failing_.begin(), end, key) != end) return;
    failing_[failing_count_++] = key;
}

void lanes::fail_lane(delivery_index at, const outcome& seen, time_point retry_at, time_point now) {
    pool_[at].now = delivery::state::waiting;
    if (!pool_[at].in_lane) {
        if (pool_[at].keyed()) {
            enter_laned_mode();
        } else {
            pool_[at].lane_of = {at, lane_key::kind::event};
            lane& made = lanes_[pool_[at].lane_of];
            made.events.push_back(pool_, at);
            made.bytes = pool_[at].bytes;
            pool_[at].in_lane = true;
        }
    }
    const lane_key key = pool_[at].lane_of;
    lane& own = lane_of(at);
    own.reason = seen.reason;
    own.wait_was_asked = seen.retry_after.has_value();
    const bool others_flow = own.failures > 0 && others_flow_beside(key, own);
    if (own.draining) {  // another record of the same round
        own.retry_at = std::max(own.retry_at, retry_at);
    } else {
        if (own.failures++ == 0) {
            own.since = now;
            if (!key.beside()) ++failed_lanes_;
        }
        own.retry_at = retry_at;
        own.draining = true;
        for (delivery_index next = own.events.front(); next != no_delivery;
             next = lane_list::after(pool_, next)) {
            if (pool_[next].now != delivery::state::in_flight) leave_queue(next);
        }
    }
    own.failed_at = now;
    if (own.in_flight > 0 && !planted(bug::failed_key_not_awaited)) return;
    const bool may_be_held = options_.holds && !own.held && retry_at != never;
    const bool stuck = may_be_held && barrier_.failures == 0 &&
                       (others_flow || planted(bug::key_held_in_an_outage)) &&
                       (now - own.since >= options_.hold || heavy(own));
    if (stuck) return hold(key, retry_at);
    if (may_be_held && !own.wait_was_asked && now < own.since + options_.hold)
        own.retry_at = std::min(own.retry_at, own.since + options_.hold);
    went_quiet(key, own);
}

/// Nothing of a failed lane is on the wire any more: its head waits until retry_at.
void lanes::went_quiet(lane_key key, lane& quiet) {
    quiet.draining = false;
    quiet.backing_off = true;
    retries_.push({quiet.retry_at, key});
    if (quiet.held && quiet.retry_at != never) unload(quiet);  // one that halts is named
}

}  // namespace walrelay::engine
