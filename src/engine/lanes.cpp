#include "walrelay/engine/lanes.hpp"

#include <algorithm>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

lanes::lane& lanes::lane_of(delivery_index at) {
    const auto found = lanes_.find(pool_[at].lane_of);
    require(pool_[at].in_lane && found != lanes_.end(), "I6: a delivery lost its lane");
    return found->second;
}

void lanes::add(delivery_index at, stream_place place) {
    order_.push_back(pool_, at);
    delivery& added = pool_[at];
    const bool may_have_lane = laned_ || held_lanes_ > 0;
    if (!may_have_lane || !added.keyed()) return make_ready(at);

    const auto found = lanes_.find(added.lane_of);
    if (found != lanes_.end() && found->second.held && !planted(bug::held_key_overtaken)) {
        lane& own = found->second;
        own.held->puts.push_back(place);
        added.in_lane = true;
        if (place < own.held->loaded_through) {
            own.held->overtaken = true;
            unload(own);
        }
        return depart(at, aside_state::held, true, {});
    }
    if (!laned_) return make_ready(at);
    lane& own = found == lanes_.end() ? lanes_[added.lane_of] : found->second;
    const bool first = own.events.empty();
    own.events.push_back(pool_, at);
    own.bytes += added.bytes;
    added.in_lane = true;
    note_weight(added.lane_of, own);
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
    if (paused_) return std::nullopt;
    release_due(now);
    while (!ready_.empty()) {
        const bool sink_stalled = barrier_.failures > 0;
        if (sink_stalled && (barrier_.probe != no_delivery || now < barrier_.until))
            return std::nullopt;
        if (one_at_a_time() && !planted(bug::batch_not_taken_apart)) return std::nullopt;

        delivery_index at = ready_.front();
        ready_.remove(pool_, at);
        if (!ready_.empty()) __builtin_prefetch(&pool_[ready_.front()], 1);
        if (!targets_.empty() && held_by_target(at, now)) continue;

        if (sink_stalled) {
            barrier_.probe = at;
            pool_[at].sink_probe = true;
        }
        start_attempt(at, now);
        return at;
    }
    return std::nullopt;
}

void lanes::start_attempt(delivery_index at, time_point now) {
    delivery& one = pool_[at];
    if (one.in_lane) {
        lane& own = lane_of(at);
        require(!serial(own) || own.events.front() == at,
                "I6: an attempt began before an earlier event of its lane was resolved");
        require(own.failures == 0 || (own.events.front() == at && own.in_flight == 0),
                "I6: an event was sent past a failed one of its lane");
        ++own.in_flight;
        own.started_at = now;
    }
    one.now = delivery::state::in_flight;
    one.sent_alone = alone_ = in_flight_ == 0 && suspects_ > 0;
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
    if (planted(bug::sent_back_goes_last)) return ready_.push_back(pool_, at);
    ready_.push_front(pool_, at);
}

// ---- modes of a pipelined sink

void lanes::enter_laned_mode() {
    laned_ = true;
    for (delivery_index at = order_.front(); at != no_delivery; at = order_list::after(pool_, at)) {
        delivery& one = pool_[at];
        if (one.in_lane || !one.keyed() || one.now == delivery::state::leaving) continue;
        lane& own = lanes_[one.lane_of];
        own.events.push_back(pool_, at);
        own.bytes += one.bytes;
        one.in_lane = true;
        if (one.now == delivery::state::in_flight) ++own.in_flight;
    }
}

void lanes::leave_laned_mode_if_healed() {
    if (failed_lanes_ == 0 && depth_ == lane_depth::pipelined && laned_) leave_laned_mode();
}

/// No key fails any more. Held lanes stay: the store has events of them.
void lanes::leave_laned_mode() {
    retries_ = {};
    for (auto it = lanes_.begin(); it != lanes_.end();) {
        lane& left = it->second;
        if (left.held) {
            if (left.backing_off) retries_.push({left.retry_at, it->first});
            ++it;
            continue;
        }
        for (delivery_index at = left.events.front(); at != no_delivery;
             at = lane_list::after(pool_, at)) {
            pool_[at].in_lane = false;
        }
        it = lanes_.erase(it);
    }
    laned_ = false;
}

// ---- overview

void lanes::forget(const std::function<void(delivery_index)>& drop) {
    for (const order_list* list : {&order_, &fed_}) {
        delivery_index at = list->front();
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
    }
    order_.clear();
    fed_.clear();
    ready_.clear();
    lanes_.clear();
    retries_ = {};
    load_queue_.clear();
    leaving_.clear();
    leaving_until_.clear();
    unloaded_.clear();
    heavy_.clear();
    if (!planted(bug::probe_outlives_stream)) barrier_.probe = no_delivery;
    targets_due_ = never;
    for (auto& [target, shut] : targets_) {
        shut.held.clear();
        shut.probe = no_delivery;
        targets_due_ = std::min(targets_due_, shut.until);
    }
    if (!planted(bug::failed_keys_outlive_stream)) failed_lanes_ = 0;
    held_lanes_ = loaded_lanes_ = suspects_ = 0;
    alone_ = full_ = false;
    laned_ = depth_ == lane_depth::serial;
}

time_point lanes::wake_at() const noexcept {
    if (full_ || paused_) return never;  // whoever made room, or resumes, says so
    time_point wake = planted(bug::target_wake_up_lost) ? never : targets_due_;
    if (!retries_.empty()) wake = std::min(wake, retries_.top().at);
    if (barrier_.failures > 0 && barrier_.probe == no_delivery && !ready_.empty() &&
        !one_at_a_time()) {
        wake = std::min(wake, barrier_.until);
    }
    return wake;
}

}  // namespace walrelay::engine
