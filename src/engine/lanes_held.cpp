// Lanes whose events are in the store: how they get there, are read back, and go live again.
#include <algorithm>
#include <utility>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"
#include "walrelay/engine/lanes.hpp"

namespace walrelay::engine {

namespace {

constexpr std::uint32_t rows_of_a_flowing_lane = 64;
/// Of a lane that made room for others: reading it again costs a look into the store.
constexpr duration shortest_absence = std::chrono::seconds{5};

}  // namespace

// ---- into the store

/// Leaves every queue; what is left to do is to write it down.
void lanes::depart(delivery_index at, aside_state state, bool holds_key, std::string reason) {
    delivery& one = pool_[at];
    clear_suspicion(at);
    one.now = delivery::state::leaving;
    leaving_.push_back({at, state, holds_key, std::move(reason)});
}

/// All of a lane leaves, in order. `parked`: its head is refused for good, and the key waits for an
/// operator: the next look into the store finds it in the way.
void lanes::hold(lane_key key, time_point retry_at, delivery_index parked, std::string reason) {
    lane& own = lanes_.at(key);
    require(own.in_flight == 0, "I6: a lane was set aside with a record on the wire");
    if (reason.empty()) reason = own.reason;
    const bool keyed = key.what == lane_key::kind::keyed;
    const delivery_index only = own.events.front();  // of a lane without a key
    if (keyed) {
        own.held = std::make_unique<held_part>();
        ++held_lanes_;
    }
    while (!own.events.empty()) {
        const delivery_index at = own.events.front();
        leave_queue(at);
        own.events.remove(pool_, at);
        pool_[at].in_lane = keyed;
        if (keyed) own.held->puts.emplace_back();
        depart(at, at == parked ? aside_state::parked : aside_state::held, keyed,
               std::exchange(reason, {}));
    }
    if (!keyed) {
        if (retry_at != never) leaving_until_[only] = retry_at;
        if (own.failures > 0) --failed_lanes_;
        lanes_.erase(key);
        return;
    }
    own.bytes = 0;
    own.pins = own.draining = false;
    own.retry_at = retry_at;
    own.backing_off = parked == no_delivery;
    if (own.backing_off) retries_.push({retry_at, key});
}

void lanes::departed(delivery_index at, const aside_put_answer& there) {
    const lane_key key = pool_[at].lane_of;
    const bool counted = pool_[at].in_lane;
    take_out(at);
    if (counted) {
        lane& own = held_lane(key);
        own.held->puts.pop_front();
        want_load(key, own);
    } else if (there.state == aside_state::held) {
        const lane_key alone{static_cast<std::uint64_t>(there.id), lane_key::kind::stored};
        const auto until = leaving_until_.extract(at);
        if (until.empty() || lanes_.contains(alone)) return touched(alone);
        restore(alone, false, until.mapped());
    }
    leaving_until_.erase(at);
}

// ---- which lanes

bool lanes::fills_limit(const lane& one) const noexcept {
    return one.events.size() >= options_.heavy_events || one.bytes >= options_.heavy_bytes;
}

bool lanes::heavy(const lane& one) const noexcept {
    return one.pins || fills_limit(one);
}

/// Others have succeeded since the last failure of this lane; or since its first one, and none but
/// it has failed after that.
bool lanes::others_flow_beside(lane_key key, const lane& own) const {
    const time_point succeeded = lane_successes_.beside(key);
    return succeeded > own.failed_at || (succeeded > own.since && failing_count_ <= 1);
}

void lanes::note_weight(lane_key key, lane& own) {
    if (!options_.holds || !heavy(own)) return;
    if (std::find(heavy_.begin(), heavy_.end(), key) == heavy_.end()) heavy_.push_back(key);
}

void lanes::suspect_of_pinning(delivery_index at) {
    if (!options_.holds || !pool_[at].in_lane || pool_[at].now == delivery::state::leaving) return;
    lane& own = lane_of(at);
    if (own.held || own.events.front() != at) return;
    own.pins = true;
    if (own.failures > 0) note_weight(pool_[at].lane_of, own);
}

/// A lane that makes up half of a limit need not wait to show that it fails still, once others have
/// succeeded since.
void lanes::retry_heavy(time_point now) {
    std::erase_if(heavy_, [&](const lane_key& key) {
        const auto found = lanes_.find(key);
        if (found == lanes_.end() || found->second.held || !heavy(found->second)) return true;
        lane& own = found->second;
        if (!own.backing_off || own.wait_was_asked || own.retry_at == never) return false;
        if (lane_successes_.beside(key) <= own.failed_at) return false;
        own.backing_off = false;
        own.retry_at = now;
        make_ready(own.events.front());
        return false;
    });
}

/// After another failure of a stalled target: its lanes leave when it has stalled for long, or when
/// they hold a limit, and other targets have succeeded since the failure before.
void lanes::hold_gated(std::uint64_t target, time_point now, time_point failed_before) {
    const auto found = targets_.find(target);
    if (found == targets_.end() || barrier_.failures > 0 || failed_before == time_point{}) return;
    const barrier& shut = found->second;
    if (target_successes_.beside(target) <= failed_before) return;
    const bool for_long = now - shut.since >= options_.hold;
    std::vector<delivery_index> gated;
    for (delivery_index at = shut.held.front(); at != no_delivery;
         at = queue_list::after(pool_, at)) {
        if (pool_[at].stored != 0) continue;
        const bool is_heavy = pool_[at].in_lane && heavy(lane_of(at));
        if (for_long || is_heavy) gated.push_back(at);
    }
    for (const delivery_index at : gated) {
        const lane_key key = pool_[at].lane_of;
        if (pool_[at].in_lane) {
            lane_of(at).reason = shut.reason;
            hold(key, now);
        } else {
            leave_queue(at);
            depart(at, aside_state::held, false, shut.reason);
        }
    }
}

// ---- out of the store

lanes::lane& lanes::held_lane(lane_key key) {
    const auto found = lanes_.find(key);
    require(found != lanes_.end() && found->second.held,
            "I13: the store speaks of a key that is not held");
    return found->second;
}

void lanes::restore(lane_key key, bool waits_for_operator, time_point retry_at) {
    lane& own = lanes_[key];
    require(!own.held && own.events.empty(), "I6: a lane was set aside twice");
    own.held = std::make_unique<held_part>();
    own.held->waits_for_operator = waits_for_operator;
    ++held_lanes_;
    if (retry_at != time_point{}) {
        own.backing_off = true;
        own.retry_at = retry_at;
        retries_.push({retry_at, key});
    }
    want_load(key, own);
}

void lanes::want_load(lane_key key, lane& own) {
    held_part& part = *own.held;
    if (own.backing_off || !own.events.empty() || part.waits_for_operator || part.queued ||
        part.loading || part.changes > 0)
        return;
    part.queued = true;
    load_queue_.push_back(key);
}

std::optional<aside_load> lanes::next_load() {
    if (paused_) return std::nullopt;
    while (!load_queue_.empty()) {
        const lane_key key = load_queue_.front();
        load_queue_.pop_front();
        const auto found = lanes_.find(key);
        if (found == lanes_.end() || !found->second.held) continue;
        lane& own = found->second;
        own.held->queued = false;
        if (own.backing_off || own.held->waits_for_operator) continue;
        own.held->loading = true;
        count_in_memory(own);
        const bool flows = own.failures == 0 && own.held->refusals == 0;
        return aside_load{0, key, flows ? rows_of_a_flowing_lane : 1};
    }
    return std::nullopt;
}

void lanes::make_room(std::size_t most, time_point now) {
    std::vector<lane_key> leave;
    for (const auto& [target, shut] : targets_) {
        for (delivery_index at = shut.held.front(); at != no_delivery && leave.size() < most;
             at = queue_list::after(pool_, at)) {
            if (pool_[at].stored != 0) leave.push_back(pool_[at].lane_of);
        }
    }
    for (const lane_key& key : leave) {
        lane& own = lanes_.at(key);
        if (own.events.empty() || own.held->loading) continue;
        const auto shut = targets_.find(pool_[own.events.front()].target_hash);
        if (shut == targets_.end()) continue;
        own.backing_off = true;
        own.retry_at = std::max(shut->second.until, now + shortest_absence);
        retries_.push({own.retry_at, key});
        unload(own);
    }
}

void lanes::feed(delivery_index at, stream_place place) {
    fed_.push_back(pool_, at);
    delivery& one = pool_[at];
    lane& own = held_lane(one.lane_of);
    require(own.held->loading, "I6: a row was read back that nobody asked for");
    own.held->loaded_through = std::max(own.held->loaded_through, place);
    if (!own.held->puts.empty() && own.held->puts.front() < place) own.held->overtaken = true;
    if (own.held->head == one.stored) {
        one.attempts = std::max(one.attempts, own.held->attempts);
        one.refusals = own.held->refusals;
        one.suspect = own.held->suspect;
        if (one.suspect) ++suspects_;
    }
    const bool first = own.events.empty();
    own.events.push_back(pool_, at);
    own.bytes += one.bytes;
    one.in_lane = true;
    if (first) {
        make_ready(at);
    } else {
        one.now = delivery::state::waiting;
    }
}

void lanes::loaded(lane_key key) {
    lane& own = held_lane(key);
    held_part& part = *own.held;
    if (std::exchange(part.found_no_room, false)) return load_failed(key);
    part.loading = false;
    if (part.overtaken) unload(own);
    count_in_memory(own);
    const bool blocked = part.waits_for_operator && !planted(bug::held_key_live_too_early);
    if (!own.events.empty() || blocked) return;
    if (part.changes > 0 || !part.puts.empty()) return;  // looked at again when that is done
    // Nothing is left, and nothing is on its way: live again.
    if (own.failures > 0 && !key.beside()) --failed_lanes_;
    --held_lanes_;
    lanes_.erase(key);
    leave_laned_mode_if_healed();
}

void lanes::load_failed(lane_key key) {
    lane& own = held_lane(key);
    own.held->loading = false;
    count_in_memory(own);
    want_load(key, own);
}

void lanes::changed(lane_key key) {
    lane& own = held_lane(key);
    --own.held->changes;
    want_load(key, own);
}

void lanes::touched(lane_key key) {
    const auto found = lanes_.find(key);
    if (found == lanes_.end()) {
        if (key.beside()) restore(key, false);
        return;
    }
    if (!found->second.held) return;
    lane& own = found->second;
    own.held->waits_for_operator = false;
    own.held->head = 0;
    own.backing_off = false;
    own.retry_at = {};
    unload(own);
    want_load(key, own);
}

/// What is not on the wire goes on waiting in the store.
void lanes::unload(lane& own) {
    own.held->waits_for_operator = false;  // the next look finds what is in the way
    if (!own.events.empty() && own.failures > 0) {
        const delivery& head = pool_[own.events.front()];
        own.held->head = head.stored;
        own.held->attempts = head.attempts;
        own.held->refusals = head.refusals;
        own.held->suspect = head.suspect;
    }
    delivery_index at = own.events.front();
    while (at != no_delivery) {
        const delivery_index after = lane_list::after(pool_, at);
        if (pool_[at].now != delivery::state::in_flight) {
            leave_queue(at);
            own.events.remove(pool_, at);
            own.bytes -= pool_[at].bytes;
            pool_[at].in_lane = false;
            take_out(at);
            unloaded_.push_back(at);
        }
        at = after;
    }
    count_in_memory(own);
}

void lanes::count_in_memory(lane& own) {
    const bool now_in = own.held->loading || !own.events.empty();
    if (now_in == own.held->in_memory) return;
    own.held->in_memory = now_in;
    if (!now_in) {
        own.held->overtaken = false;
        own.held->loaded_through = {};
    }
    loaded_lanes_ += now_in ? 1 : std::size_t(-1);
}

}  // namespace walrelay::engine
