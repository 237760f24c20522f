#include "walrelay/engine/engine.hpp"

#include <algorithm>
#include <utility>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

namespace {

/// So many rows without a route, one behind the other: the routes are wrong, not the rows.
constexpr std::uint32_t unroutable_in_row_max = 20;

}  // namespace

engine::engine(const engine_options& options)
    : options_{options},
      progress_{options.replay_events},
      fed_bytes_(options.sinks.size()),
      random_state_{options.seed} {
    for (const sink_options& one : options.sinks) {
        require(!one.holds || one.depth == lane_depth::serial,
                "I6: only serial lanes may be set aside");
        sinks_.emplace_back(
            pool_,
            lane_options{one.depth, one.holds, options.hold,
                         std::max<std::uint64_t>(options.in_flight_events / 2, 1),
                         std::max<std::uint64_t>(options.in_flight_bytes / 2, 1), options.retries});
    }
}

// ---- the stream

void engine::stream_started(lsn recorded, bool same_history, aside_start aside,
                            duration status_period, time_point now) {
    require(events_count_ == 0, "I5: events of an ended stream were kept");
    if (planted(bug::other_timeline_ignored)) same_history = true;
    if (planted(bug::safe_forgotten_on_reconnect)) ledger_.restart_at(recorded);
    if (same_history && ledger_.safe() >= recorded) {
        ledger_.restart();
    } else {
        ledger_.restart_at(recorded);
    }
    progress_.restart(recorded, ledger_.safe() > recorded, now);
    feedback_.restart(status_period, same_history, now);
    full_ = full_limit::none;
    merge_.start(std::move(aside.entries));
    if (planted(bug::held_keys_forgotten_at_start)) aside.lanes.clear();
    for (const held_lane& one : aside.lanes)
        sinks_[one.sink].restore(one.lane, one.waits_for_operator);
}

void engine::stream_lost() {
    const auto forget = [this](delivery_index at) {
        tracked_event& owner = events_[pool_[at].event];
        owner.orphaned = !planted(bug::orphan_counts);
        if (!pool_[at].orphaned) settle(at);
    };
    for (lanes& one : sinks_)
        one.forget(forget);
    released_.insert(released_.end(), unroutable_.begin(), unroutable_.end());
    for (const event_slot slot : aside_.clear())
        released_.push_back(slot);
    unroutable_.clear();
    unroutable_in_row_ = 0;
    merge_.start({});
    if (halted_ && !halted_->sink) halted_.reset();  // the row comes again
    events_count_ = bytes_count_ = 0;
    fed_bytes_.assign(sinks_.size(), 0);
    full_ = full_limit::none;
}

bool engine::begin(lsn commit_lsn, std::int64_t commit_time_us) {
    open_unit_ = ledger_.begin(commit_time_us);
    feedback_.heard_data();
    if (planted(bug::unit_at_safe_skipped)) return commit_lsn > ledger_.safe();
    return commit_lsn >= ledger_.safe() || planted(bug::resolved_unit_sent_again);
}

event_slot engine::prefetch_row() const noexcept {
    if (!free_deliveries_.empty()) __builtin_prefetch(&pool_[free_deliveries_.back()], 1);
    if (free_events_.empty()) return static_cast<event_slot>(events_.size());
    __builtin_prefetch(&events_[free_events_.back()], 1);
    return free_events_.back();
}

event_slot engine::track(unit_index unit, std::size_t bytes, std::uint32_t pending) {
    event_slot slot = 0;
    if (free_events_.empty()) {
        slot = static_cast<event_slot>(events_.size());
        events_.emplace_back();
    } else {
        slot = free_events_.back();
        free_events_.pop_back();
    }
    events_[slot] = {unit,    static_cast<std::uint32_t>(std::min<std::size_t>(bytes, UINT32_MAX)),
                     pending, false,
                     {},      0};
    return slot;
}

event_slot engine::track_row(std::size_t bytes, std::uint32_t pending) {
    const event_slot slot = track(open_unit_, bytes, pending);
    ledger_.add_event();
    ++events_count_;
    bytes_count_ += events_[slot].bytes;
    return slot;
}

delivery_index engine::make_delivery(const delivery& made) {
    delivery_index at = 0;
    if (free_deliveries_.empty()) {
        at = static_cast<delivery_index>(pool_.size());
        pool_.emplace_back();
    } else {
        at = free_deliveries_.back();
        free_deliveries_.pop_back();
    }
    const std::uint32_t serial = pool_[at].serial;
    pool_[at] = made;
    pool_[at].serial = serial;
    return at;
}

std::optional<event_slot> engine::add(std::size_t bytes, stream_place place,
                                      std::span<const event::placement> placements) {
    require(!placements.empty(), "I13: an event without a sink was counted as routed");
    unroutable_in_row_ = 0;
    if (!merge_.over()) {
        if (const auto rows = merge_.at(place); !rows.empty()) {
            placements_.clear();
            for (const event::placement& to : placements) {
                if (!resolved_before(rows, place, to)) placements_.push_back(to);
            }
            placements = placements_;
        }
    }
    if (placements.empty()) {
        ledger_.add_resolved_event();
        return std::nullopt;
    }
    const event_slot slot = track_row(bytes, static_cast<std::uint32_t>(placements.size()));
    for (const event::placement& to : placements) {
        delivery fresh;
        fresh.event = slot;
        fresh.bytes = events_[slot].bytes;
        fresh.sink = static_cast<std::uint16_t>(to.sink);
        fresh.target_hash = to.target_hash;
        fresh.on_event_error = to.on_event_error;
        const delivery_index at = make_delivery(fresh);
        pool_[at].lane_of = to.keyed ? lane_key{to.key_hash, lane_key::kind::keyed}
                                     : lane_key{at, lane_key::kind::event};
        sinks_[to.sink].add(at, place);
        collect(to.sink);
    }
    return slot;
}

/// What the store knows of an event that is read again. One that it says was delivered is sent
/// again, as all are that are read again: else an older one of its key would end up last. So is one
/// that was held when the stream started and has been fed since.
bool engine::resolved_before(std::span<const aside_entry> rows, stream_place place,
                             const event::placement& to) const {
    const aside_entry* const known = row_for(rows, to.sink);
    if (known == nullptr) return false;
    switch (known->state) {
        case aside_state::parked:
        case aside_state::dropped:
            return !planted(bug::parked_row_sent_again);
        case aside_state::delivered:
            return planted(bug::delivered_row_skipped);
        case aside_state::held:
            break;
    }
    if (!to.keyed || !known->holds_key) return true;
    const lane_key lane{to.key_hash, lane_key::kind::keyed};
    return sinks_[to.sink].held(lane) && !merge_.fed(to.sink, lane, place);
}

void engine::add_discarded() {
    ledger_.add_resolved_event();
}

std::optional<event_slot> engine::add_unroutable(std::size_t bytes, stream_place place,
                                                 std::string reason, config::error_policy policy) {
    if (!merge_.over()) {
        const aside_entry* const known = row_for(merge_.at(place), std::nullopt);
        if (known != nullptr && known->state != aside_state::delivered) {
            ledger_.add_resolved_event();
            return std::nullopt;
        }
    }
    const event_slot slot = track_row(bytes, 1);
    if (policy != config::error_policy::halt && unroutable_in_row_ < unroutable_in_row_max) {
        ++unroutable_in_row_;
        aside_put row;
        row.event = slot;
        row.reason = std::move(reason);
        aside_.put(std::move(row));
        return slot;
    }
    unroutable_.push_back(slot);
    if (!halted_) halted_ = halt_info{slot, std::nullopt, std::move(reason)};
    return slot;
}

event_slot engine::add_mark(std::size_t bytes) {
    const event_slot slot = track_row(bytes, 1);
    aside_.mark(slot);
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
    return full_ == full_limit::none || planted(bug::reading_never_pauses);
}

// ---- the sinks

std::optional<engine::attempt> engine::next(std::size_t sink, time_point now) {
    if (sending_is_over() && !planted(bug::halt_ignored)) return std::nullopt;
    if (options_.sinks[sink].holds && replay_events() >= options_.replay_events / 2)
        look_for_pinning(sink);
    const std::optional<delivery_index> at = sinks_[sink].next(now);
    if (!at) return std::nullopt;
    const delivery& one = pool_[*at];
    return attempt{{*at, one.serial}, one.attempts, one.event};
}

/// Whether a lane of this sink keeps all that was read since from being recorded.
void engine::look_for_pinning(std::size_t sink) {
    const delivery_index at = sinks_[sink].oldest();
    if (at != no_delivery && ledger_.oldest(events_[pool_[at].event].unit))
        sinks_[sink].suspect_of_pinning(at);
}

void engine::sent_back(attempt_token token) {
    require(token.slot < pool_.size() && pool_[token.slot].serial == token.serial,
            "I6: a record was given back that was not handed out");
    sinks_[pool_[token.slot].sink].sent_back(token.slot);
}

void engine::attempt_ended(attempt_token token, const outcome& seen, time_point now) {
    require(token.slot < pool_.size(), "I6: the outcome of an attempt that was not made");
    require(pool_[token.slot].serial == token.serial || planted(bug::late_outcome_taken),
            "I6: the outcome of an attempt that is not the last one");
    const delivery& ended = pool_[token.slot];
    const event_slot slot = ended.event;
    const std::uint16_t sink = ended.sink;
    const bool fed = ended.stored != 0 && !ended.orphaned;
    __builtin_prefetch(&events_[slot], 1);
    const lanes::verdict led_to = sinks_[sink].attempt_ended(token.slot, seen, now, random());
    switch (led_to) {
        case lanes::verdict::resolved:
            if (fed && !planted(bug::outcome_of_held_row_lost))
                write_outcome(token.slot, aside_state::delivered, {});
            settle(token.slot);
            break;
        case lanes::verdict::parked:
            if (fed) {
                write_outcome(token.slot, aside_state::parked, seen.reason);
                settle(token.slot);
            }
            break;
        case lanes::verdict::waits:
            break;
        case lanes::verdict::halt:
            if (!sending_is_over()) halted_ = halt_info{slot, sink, seen.reason};
            break;
    }
    collect(sink);
}

/// A delivery is over: resolved, or forgotten with its stream.
void engine::settle(delivery_index at) {
    free_deliveries_.push_back(at);
    settle_event(pool_[at].event);
}

void engine::settle_event(event_slot slot) {
    tracked_event& owner = events_[slot];
    require(owner.pending > 0, "I5: a delivery was resolved twice");
    if (--owner.pending > 0 && !planted(bug::second_sink_forgotten)) return;
    if (!owner.orphaned && owner.unit == no_unit) fed_bytes_[owner.sink] -= owner.bytes;
    if (!owner.orphaned && owner.unit != no_unit) {
        ledger_.resolve(owner.unit);
        --events_count_;
        bytes_count_ -= owner.bytes;
    }
    released_.push_back(slot);
}

std::span<const event_slot> engine::take_released() {
    handed_out_.swap(released_);
    released_.clear();
    free_events_.insert(free_events_.end(), handed_out_.begin(), handed_out_.end());
    return handed_out_;
}

// ---- record and acknowledge

std::optional<status_message> engine::status_due(time_point now, bool at_once) {
    return feedback_.due(ledger_.received(), ledger_.safe(), progress_.recorded(), ledger_.idle(),
                         now, at_once);
}

time_point engine::wake_at(bool sending) const noexcept {
    time_point wake = std::min(
        {progress_.wake_at(ledger_), feedback_.wake_at(progress_.recorded()), aside_.wake_at()});
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
