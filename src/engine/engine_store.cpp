// The engine's side of walrelay.parked: what is asked of the store, and what its answers mean.
#include <algorithm>
#include <numeric>
#include <utility>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/engine.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

namespace {

constexpr std::size_t most_lanes_a_load = 100;

/// What a put and a change say alike.
template <class Row>
Row row_of(const delivery& one, aside_state state, std::string reason) {
    Row row;
    row.sink = one.sink;
    row.lane = one.lane_of;
    row.state = state;
    row.attempts = one.attempts;
    row.reason = std::move(reason);
    return row;
}

}  // namespace

/// Takes over what a sink's lanes have decided on the side.
void engine::collect(std::size_t sink) {
    for (lanes::departure& left : sinks_[sink].leaving()) {
        const delivery& one = pool_[left.at];
        auto row = row_of<aside_put>(one, left.state, std::move(left.reason));
        row.event = one.event;
        row.delivery = left.at;
        row.holds_key = left.holds_key;
        if (planted(bug::set_aside_before_durable)) ledger_.resolve(events_[one.event].unit);
        aside_.put(std::move(row));
    }
    sinks_[sink].leaving().clear();
    for (const delivery_index at : sinks_[sink].unloaded())
        settle(at);
    sinks_[sink].unloaded().clear();
}

/// Of a row that was read back and has been sent.
void engine::write_outcome(delivery_index at, aside_state state, const std::string& reason) {
    const delivery& one = pool_[at];
    auto row = row_of<aside_change>(one, state, reason);
    row.id = one.stored;
    row.holds_key = state == aside_state::parked && one.keyed() &&
                    one.on_event_error == config::error_policy::park_key;
    aside_.change(std::move(row));
    if (merge_.over()) return;
    merge_.note_fed(one.sink, one.lane_of, events_[one.event].place);
    if (state == aside_state::parked) merge_.note_parked(one.sink, events_[one.event].place);
}

std::optional<aside_request> engine::store_due(time_point now, bool reads) {
    const bool any_held = std::any_of(sinks_.begin(), sinks_.end(),
                                      [](const lanes& one) { return one.held_lanes() > 0; });
    if (aside_.empty() && !any_held) return std::nullopt;
    return aside_.due(
        now, [&] { return reads ? loads_due(now) : std::nullopt; },
        [this](const aside_put& row) { return std::uint64_t{events_[row.event].bytes}; });
}

/// The sinks take turns, and each has its share of the memory: keys of one that doesn't flow hold
/// up no other's.
std::optional<load_request> engine::loads_due(time_point now) {
    if (sending_is_over()) return std::nullopt;
    for (std::size_t n = 0; n < sinks_.size(); ++n) {
        const std::size_t sink = (loads_turn_ + n) % sinks_.size();
        auto request = loads_of(sink, now);
        if (!request) continue;
        loads_turn_ = sink + 1;
        return request;
    }
    return std::nullopt;
}

std::optional<load_request> engine::loads_of(std::size_t sink, time_point now) {
    const std::uint64_t share_bytes =
        std::max<std::uint64_t>(options_.in_flight_bytes / sinks_.size(), 1);
    const std::size_t share_lanes = std::max<std::size_t>(options_.loaded_lanes / sinks_.size(), 1);
    lanes& from = sinks_[sink];
    const auto full = [&] {
        return fed_bytes_[sink] >= share_bytes || from.loaded_lanes() >= share_lanes;
    };
    if (full() && from.wants_loads()) {
        from.make_room(most_lanes_a_load, now);
        collect(sink);
    }
    load_request request;
    while (!full() && request.lanes.size() < most_lanes_a_load) {
        auto load = from.next_load();
        if (!load) break;
        load->sink = static_cast<std::uint16_t>(sink);
        request.lanes.push_back(*load);
    }
    if (request.lanes.empty()) return std::nullopt;
    request.most_bytes = share_bytes - fed_bytes_[sink];
    return request;
}

std::uint64_t engine::fed_bytes() const noexcept {
    return std::accumulate(fed_bytes_.begin(), fed_bytes_.end(), std::uint64_t{0});
}

void engine::put_done(std::span<const aside_put_answer> there) {
    const std::vector<aside_put> done = aside_.take_puts();
    require(there.size() == done.size(), "I13: not every row that was set aside is accounted for");
    for (std::size_t i = 0; i < done.size(); ++i) {
        if (done[i].delivery == no_delivery) {
            settle_event(done[i].event);
            continue;
        }
        sinks_[done[i].sink].departed(done[i].delivery, there[i]);
        collect(done[i].sink);
        settle(done[i].delivery);
    }
}

void engine::changes_done() {
    for (const aside_change& row : aside_.take_changes())
        sinks_[row.sink].changed(row.lane);
}

event_slot engine::feed(const aside_row& row) {
    const event_slot slot = track(no_unit, row.bytes, 1);
    events_[slot].place = row.place;
    events_[slot].sink = row.sink;
    fed_bytes_[row.sink] += events_[slot].bytes;
    delivery fresh;
    fresh.event = slot;
    fresh.bytes = events_[slot].bytes;
    fresh.sink = row.sink;
    fresh.lane_of = row.lane;
    fresh.stored = row.id;
    fresh.attempts = row.attempts;
    fresh.target_hash = row.target_hash;
    fresh.on_event_error = row.on_event_error;
    sinks_[row.sink].feed(make_delivery(fresh), row.place);
    return slot;
}

void engine::refuse_row(lane_ref lane, aside_id id, std::string reason) {
    sinks_[lane.sink].refuse_row(lane.lane);
    aside_change row;
    row.id = id;
    row.sink = lane.sink;
    row.lane = lane.lane;
    row.state = aside_state::parked;
    row.reason = std::move(reason);
    aside_.change(std::move(row));
}

void engine::block(lane_ref lane) {
    sinks_[lane.sink].block(lane.lane);
}

void engine::no_room(lane_ref lane) {
    sinks_[lane.sink].no_room(lane.lane);
}

void engine::load_done() {
    for (const aside_load& done : aside_.take_loads()) {
        sinks_[done.sink].loaded(done.lane);
        collect(done.sink);
    }
}

void engine::mark_done(std::span<const lane_ref> touched) {
    const event_slot mark = aside_.take_mark();
    for (const lane_ref& one : touched) {
        if (planted(bug::redriven_key_not_looked_at)) break;
        sinks_[one.sink].touched(one.lane);
        collect(one.sink);
    }
    settle_event(mark);
}

void engine::store_failed(time_point now) {
    for (const aside_load& load : aside_.failed(now))
        sinks_[load.sink].load_failed(load.lane);
}

}  // namespace walrelay::engine
