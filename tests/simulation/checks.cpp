// What must hold at each send, after each step, and in the end.
#include <algorithm>

#include "simulation/world.hpp"

namespace walrelay::simulation {

using what = engine::outcome_class;

// ---- at each send

void world::check_send(const fake_sink& sink, const open_delivery& chosen,
                       const engine::engine::attempt& attempt) const {
    using state = open_delivery::state;
    if (chosen.now == state::on_wire) fail("I6: a record was sent while it is on the wire");
    if (attempt.number != chosen.sends + 1) fail("attempts of a record are miscounted");
    bool any_failed = false;
    for (const auto& [number, other] : sink.open) {
        any_failed = any_failed || other.failed;
        if (other.suspect && !sink.wire.empty())
            fail("a record was sent beside another while a refused batch is looked into");
        if (number >= chosen.row->number || !chosen.row->keyed) continue;
        if (!other.row->keyed || other.row->key != chosen.row->key) continue;
        if (other.now == state::waits_again)
            fail("I6: a record was sent while an older one of its key waits to be sent again");
        if (other.now == state::never_sent)
            fail("I6: a record was sent before an older one of its key");
        if (sink.depth == engine::lane_depth::serial) fail("I6: two records of a key at once");
    }
    if (sink.depth == engine::lane_depth::pipelined && chosen.row->keyed && !any_failed &&
        relay_->delivery_at(attempt.token.slot).in_lane) {
        fail("keys stay in lanes though no record fails any more");
    }
}

/// After next() had nothing more for a sink.
void world::check_quiet(std::size_t index) const {
    const fake_sink& sink = sinks_[index];
    if (halted_by_sink()) return;
    if (relay_->wake_at() > sink.quiet_until) fail("the engine sleeps longer than its sink");
    if (sink.full) return;
    if (sink.quiet_until <= now_) fail("a wake-up is due, and there is nothing to send");
    if (sink.wire.empty() && !sink.open.empty() && sink.quiet_until == never)
        fail("I7: records wait, nothing is on the wire, and no wake-up");
}

// ---- at each outcome

/// A success has shown that the sink and the target work.
void world::check_opened(std::size_t index, const source_row& row) const {
    const fake_sink& sink = sinks_[index];
    for (const engine::stall_info& stall : relay_->sink(index).stalls(100)) {
        if (stall.what == engine::stall_info::scope::sink)
            fail("a sink stalls though it has just taken a record");
        if (stall.what != engine::stall_info::scope::target) continue;
        if (stall.example == engine::no_delivery) continue;
        const std::uint64_t target = (index << 8) | sink.target_of(row);
        if (relay_->delivery_at(stall.example).target_hash == target)
            fail("a target stalls though it has just taken a record");
    }
}

void world::check_halt(const wire_attempt& ended, const engine::outcome& seen,
                       std::uint32_t refusals) const {
    const bool must = seen.what == what::event_final || (seen.what == what::event && refusals >= 3);
    if (must && !halted_by_sink()) fail("a record that is refused for good doesn't halt the relay");
    if (!halted_by_sink() || (halted_at_ && halted_at_->what != source_row::nature::unroutable))
        return;
    if (held_.at(relay_->halted()->event) != ended.row) fail("halted at another row");
    if (!must && !(seen.what == what::batch && ended.alone))
        fail("halted at a record that was not refused for good");
}

// ---- after each step

void world::check_step() {
    check_counts();
    if (connected_) check_safe();
}

void world::check_counts() const {
    std::size_t on_wire = 0;
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        const fake_sink& sink = sinks_[index];
        const engine::lanes& view = relay_->sink(index);
        on_wire += sink.wire.size();
        if (view.in_flight() != sink.wire.size()) fail("attempts in flight are miscounted");
        if (view.unresolved() != sink.open.size()) fail("I5: deliveries of a sink are miscounted");
    }
    if (relay_->in_flight() != on_wire) fail("attempts in flight are miscounted");
    if (!connected_) {
        if (relay_->unresolved_events() != 0) fail("events outlive their stream");
        return;
    }
    std::uint64_t bytes = 0;
    std::uint64_t largest = 0;
    for (const auto& [slot, row] : held_) {
        bytes += row->bytes;
        largest = std::max<std::uint64_t>(largest, row->bytes);
    }
    if (relay_->unresolved_events() != held_.size()) fail("I5: unresolved events are miscounted");
    if (relay_->unresolved_bytes() != bytes) fail("unresolved bytes are miscounted");
    if (held_.size() > options_.in_flight_events) fail("I12: more events in memory than allowed");
    if (bytes > options_.in_flight_bytes + largest) fail("I12: more bytes in memory than allowed");
    if (relay_->units().entries() > 2 * options_.in_flight_events + 3)
        fail("I12: the ledger grows");
    std::uint64_t behind = 0;
    for (auto unit = units_read_.rbegin(); unit != units_read_.rend(); ++unit) {
        if (unit->end <= recorded_) break;
        behind += unit->events;
    }
    if (relay_->replay_events() != behind) fail("what a crash would repeat is miscounted");
}

/// All below safe was delivered, by an attempt whose end was seen or could have been.
void world::check_safe() {
    const lsn safe = relay_->units().safe();
    while (units_safe_ < source_.size() && source_[units_safe_].end <= safe) {
        for (const row_pointer& row : source_[units_safe_].rows) {
            if (!landed_alive(*row)) fail("I1: safe has passed a row that no sink has");
        }
        ++units_safe_;
    }
    if (units_safe_ < source_.size() && safe > source_[units_safe_].commit)
        fail("I3: safe is inside a transaction");
}

/// Each sink of the row has it, not only from a process that was dead then. A row that an operator
/// stepped over counts as delivered.
bool world::landed_alive(const source_row& row) const {
    if (row.stepped_over) return true;
    if (row.what == source_row::nature::unroutable) return false;
    return std::all_of(row.sinks.begin(), row.sinks.end(), [&](std::size_t index) {
        const auto found = sinks_[index].landed.find(row.number);
        return found != sinks_[index].landed.end() &&
               std::any_of(found->second.begin(), found->second.end(),
                           [](const arrival& one) { return !one.process_dead; });
    });
}

void world::check_status(const engine::status_message& told) const {
    if (told.flushed.value == 0) return;
    if (told.flushed > relay_->units().safe()) fail("I1: acknowledged above what is safe");
    if (told.flushed > record_) fail("I15: acknowledged above the durable record");
    for (const source_transaction& one : source_) {
        if (told.flushed <= one.commit) break;
        if (told.flushed < one.end) fail("I3: acknowledged a position inside a transaction");
    }
}

// ---- in the end

/// All is resolved, and each target has taken a record since it was down.
void world::check_clean() const {
    if (!held_.empty()) fail("I12: an event was never released");
    if (relay_->replay_events() != 0) fail("all is recorded, and still a crash would repeat");
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        if (relay_->sink(index).stalled() || !relay_->sink(index).stalls(10).empty())
            fail("a stall outlives its cause");
    }
}

void world::check_end() const {
    for (const source_transaction& one : source_) {
        for (const row_pointer& row : one.rows) {
            if (!landed_alive(*row)) fail("I7: a row was lost");
        }
    }
    for (const fake_sink& sink : sinks_)
        check_end_of(sink);
}

/// Of each key, the last record is the newest. What a dead process had on the wire can't be called
/// back, so what landed then counts as a repeat only; for a serial sink it must not have come
/// before an older record of its key either.
void world::check_end_of(const fake_sink& sink) const {
    const auto index = static_cast<std::size_t>(&sink - sinks_.data());
    std::map<std::uint32_t, std::uint64_t> newest;
    std::map<std::uint32_t, std::uint64_t> first;
    for (const source_transaction& unit : source_) {
        for (const row_pointer& row : unit.rows) {
            if (std::count(row->sinks.begin(), row->sinks.end(), index) == 0) continue;
            if (!row->keyed || row->stepped_over) continue;
            const auto found = sink.landed.find(row->number);
            const std::vector<arrival>& all = found->second;
            if (all.front().when < first[row->key] && sink.depth == engine::lane_depth::serial)
                fail("I9: a row arrived before an older one of its key");
            first[row->key] = all.front().when;
            const auto last = std::find_if(all.rbegin(), all.rend(),
                                           [](const arrival& one) { return !one.process_dead; });
            if (last == all.rend()) continue;
            if (last->when < newest[row->key]) fail("I6: an older row was the last of its key");
            newest[row->key] = last->when;
        }
    }
}

}  // namespace walrelay::simulation
