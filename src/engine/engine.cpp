#include "walrelay/engine/engine.hpp"

#include <algorithm>
#include <utility>

#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

engine::engine(const engine_options& options)
    : options_{options}, progress_{options.replay_events}, random_state_{options.seed} {
    sinks_.reserve(options.sinks.size());
    for (const lane_depth depth : options.sinks)
        sinks_.emplace_back(pool_, depth);
}

// ---- the stream

void engine::stream_started(lsn recorded, bool same_history, duration status_period,
                            time_point now) {
    require(events_count_ == 0, "I5: events of an ended stream were kept");
    if (same_history && ledger_.safe() >= recorded) {
        ledger_.restart();
    } else {
        ledger_.restart_at(recorded);
    }
    progress_.restart(recorded, ledger_.safe() > recorded, now);
    feedback_.restart(status_period, same_history, now);
    full_ = full_limit::none;
}

void engine::stream_lost() {
    const auto forget = [this](delivery_index at) {
        tracked_event& owner = events_[pool_[at].event];
        owner.orphaned = true;
        if (!pool_[at].orphaned) settle(at);
    };
    for (lanes& one : sinks_)
        one.forget(forget);
    for (const event_slot slot : unroutable_) {
        free_events_.push_back(slot);
        released_.push_back(slot);
    }
    unroutable_.clear();
    if (halted_ && !halted_->sink) halted_.reset();  // the row comes again
    events_count_ = bytes_count_ = 0;
}

bool engine::begin(lsn commit_lsn, std::int64_t commit_time_us) {
    open_unit_ = ledger_.begin(commit_time_us);
    feedback_.heard_data();
    return commit_lsn >= ledger_.safe();
}

event_slot engine::track(std::size_t bytes, std::uint32_t pending) {
    event_slot slot = 0;
    if (free_events_.empty()) {
        slot = static_cast<event_slot>(events_.size());
        events_.emplace_back();
    } else {
        slot = free_events_.back();
        free_events_.pop_back();
    }
    events_[slot] = {open_unit_,
                     static_cast<std::uint32_t>(std::min<std::size_t>(bytes, UINT32_MAX)), pending,
                     false};
    ledger_.add_event();
    ++events_count_;
    bytes_count_ += events_[slot].bytes;
    return slot;
}

event_slot engine::add(std::size_t bytes, std::span<const event::placement> placements) {
    require(!placements.empty(), "I13: an event without a sink was counted as routed");
    const event_slot slot = track(bytes, static_cast<std::uint32_t>(placements.size()));
    for (const event::placement& place : placements) {
        delivery_index at = 0;
        if (free_deliveries_.empty()) {
            at = static_cast<delivery_index>(pool_.size());
            pool_.emplace_back();
        } else {
            at = free_deliveries_.back();
            free_deliveries_.pop_back();
        }
        const std::uint32_t serial = pool_[at].serial;
        delivery fresh;
        fresh.event = slot;
        fresh.serial = serial;
        fresh.sink = static_cast<std::uint16_t>(place.sink);
        fresh.keyed = place.keyed;
        fresh.key_hash = place.key_hash;
        fresh.target_hash = place.target_hash;
        pool_[at] = fresh;
        sinks_[place.sink].add(at);
    }
    return slot;
}

void engine::add_discarded() {
    ledger_.add_resolved_event();
}

event_slot engine::add_unroutable(std::size_t bytes, std::string reason) {
    const event_slot slot = track(bytes, 1);
    unroutable_.push_back(slot);
    if (!halted_) halted_ = halt_info{slot, std::nullopt, std::move(reason)};
    return slot;
}

void engine::commit(lsn end) {
    ledger_.commit(end);
}

void engine::keepalive(lsn wal_end, bool reply_requested, time_point now) {
    feedback_.heard(wal_end, reply_requested, now);
    ledger_.adopt(wal_end);
}

bool engine::wants_rows() {
    if (!unroutable_.empty()) return false;
    // Below seven eighths before reading goes on: a reader that stops and starts at each row costs
    // more.
    const auto room = [&](std::uint64_t used, std::uint64_t limit, full_limit which) {
        return used < (full_ == which ? limit - limit / 8 : limit);
    };
    full_limit now_full = full_limit::none;
    if (!room(events_count_, options_.in_flight_events, full_limit::in_flight_events)) {
        now_full = full_limit::in_flight_events;
    } else if (!room(bytes_count_, options_.in_flight_bytes, full_limit::in_flight_bytes)) {
        now_full = full_limit::in_flight_bytes;
    } else if (!room(replay_events(), options_.replay_events, full_limit::replay_events)) {
        now_full = full_limit::replay_events;
    }
    full_ = now_full;
    return full_ == full_limit::none;
}

// ---- the sinks

std::optional<engine::attempt> engine::next(std::size_t sink, time_point now) {
    if (sending_is_over()) return std::nullopt;
    const std::optional<delivery_index> at = sinks_[sink].next(now);
    if (!at) return std::nullopt;
    const delivery& one = pool_[*at];
    return attempt{{*at, one.serial}, one.attempts, one.event};
}

void engine::sent_back(attempt_token token) {
    require(token.slot < pool_.size() && pool_[token.slot].serial == token.serial,
            "I6: a record was given back that was not handed out");
    sinks_[pool_[token.slot].sink].sent_back(token.slot);
}

void engine::attempt_ended(attempt_token token, const outcome& seen, time_point now) {
    require(token.slot < pool_.size() && pool_[token.slot].serial == token.serial,
            "I6: the outcome of an attempt that is not the last one");
    delivery& one = pool_[token.slot];
    switch (sinks_[one.sink].attempt_ended(token.slot, seen, now, random())) {
        case lanes::verdict::resolved:
            settle(token.slot);
            break;
        case lanes::verdict::waits:
            break;
        case lanes::verdict::halt:
            if (!sending_is_over()) halted_ = halt_info{one.event, one.sink, seen.reason};
            break;
    }
}

/// A delivery is over: resolved, or forgotten with its stream.
void engine::settle(delivery_index at) {
    const event_slot slot = pool_[at].event;
    free_deliveries_.push_back(at);
    tracked_event& owner = events_[slot];
    require(owner.pending > 0, "I5: a delivery was resolved twice");
    if (--owner.pending > 0) return;
    if (!owner.orphaned) {
        ledger_.resolve(owner.unit);
        --events_count_;
        bytes_count_ -= owner.bytes;
    }
    free_events_.push_back(slot);
    released_.push_back(slot);
}

// ---- record and acknowledge

std::optional<status_message> engine::status_due(time_point now, bool at_once) {
    return feedback_.due(ledger_.received(), ledger_.safe(), progress_.recorded(), ledger_.idle(),
                         now, at_once);
}

time_point engine::wake_at(bool sending) const noexcept {
    time_point wake = std::min(progress_.wake_at(ledger_), feedback_.wake_at(progress_.recorded()));
    if (sending_is_over() || !sending) return wake;
    for (const lanes& one : sinks_)
        wake = std::min(wake, one.wake_at());
    return wake;
}

std::size_t engine::in_flight() const noexcept {
    std::size_t total = 0;
    for (const lanes& one : sinks_)
        total += one.in_flight();
    return total;
}

std::uint64_t engine::random() noexcept {
    random_state_ += 0x9E3779B97F4A7C15ULL;  // splitmix64
    std::uint64_t mixed = random_state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    return mixed ^ (mixed >> 31);
}

}  // namespace walrelay::engine
