// What must hold at each outcome, after each step, and in the end; at each send: sends.cpp.
#include <algorithm>

#include "simulation/world.hpp"

namespace walrelay::simulation {

using what = engine::outcome_class;

// ---- at each outcome

/// A success has shown that the sink and the target work.
void world::check_opened(std::size_t index, const source_row& row) const {
    for (const engine::stall_info& stall : relay_->sink(index).stalls(100)) {
        if (stall.what == engine::stall_info::scope::sink)
            fail("a sink stalls though it has just taken a record");
        if (stall.what != engine::stall_info::scope::target) continue;
        if (stall.example == engine::no_delivery) continue;
        if (kept(relay_->delivery_at(stall.example).event).row->target == row.target)
            fail("a target stalls though it has just taken a record");
    }
}

void world::check_halt(const wire_attempt& ended, const engine::outcome& meant,
                       std::uint32_t refusals) const {
    const bool halts = ended.row->policy == config::error_policy::halt;
    const bool must =
        meant.what == what::event_final || (meant.what == what::event && refusals >= 3);
    if (must && halts && !halted_by_sink())
        fail("a record that is refused for good doesn't halt the relay");
    if (!halted_by_sink() || (halted_at_ && halted_at_->what != source_row::nature::unroutable))
        return;
    if (kept(relay_->halted()->event).row != ended.row) fail("halted at another row");
    const engine::retry_limits& limits = options_.retries;
    const bool spent =
        meant.what == what::transient && (limits.max_attempts > 0 || limits.max_age.count() > 0);
    if (!halts) fail("halted though the route says otherwise");
    if (!must && !spent && !(meant.what == what::batch && ended.alone))
        fail("halted at a record that was not refused for good");
}

/// The engine has left out a delivery that was read: the store answers for it.
void world::check_taken_as_resolved(const source_row& row, std::size_t index) const {
    const auto sink = static_cast<std::uint16_t>(index);
    const fake_store::row* there = store_.find(row.place, sink);
    if (there == nullptr) there = store_.find(row.place, std::nullopt);
    if (there == nullptr) fail("I7: a row was passed over that is in no store");
    if (there->state == engine::aside_state::delivered && !landed_alive(row, index))
        fail("I7: a row was passed over that no sink has");
}

void world::check_put(const engine::aside_put& put, const source_row& row) const {
    if (put.delivery == engine::no_delivery) {
        if (row.what != source_row::nature::unroutable)
            fail("parked without a sink, though routed");
        if (row.policy == config::error_policy::halt) fail("parked though the policy is to halt");
        return;
    }
    const fake_sink& sink = sinks_[put.sink];
    const open_delivery& own = sink.open.at(row.number);
    if (put.state == engine::aside_state::parked) {
        if (!own.gave_up) fail("I13: a row was parked that nobody refused");
        if (row.policy == config::error_policy::halt) fail("parked though the policy is to halt");
        return;
    }
    if (sink.held_keys.contains(row.key)) return;
    const bool behind_parked =
        std::any_of(sink.open.begin(), sink.open.end(), [&](const auto& other) {
            return other.second.now == open_delivery::state::leaving &&
                   other.second.row->key == row.key && other.first != row.number;
        });
    if (behind_parked) return;
    if (!options_.sinks[put.sink].holds) fail("a key of a Kafka sink was held");
    const bool others_flow =
        std::any_of(sink.succeeded_at.begin(), sink.succeeded_at.end(),
                    [&](const auto& other) { return other.first != row.key || row.key.empty(); });
    if (!others_flow)
        fail("I16: row " + std::to_string(row.number) + " was set aside from sink" +
             std::to_string(put.sink) + " though nothing else of its sink flows");
}

// ---- after each step

void world::check_step() {
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        std::erase_if(sinks_[index].held_keys, [&](const std::string& key) {
            return !relay_->sink(index).held(lane_of(key));
        });
    }
    check_counts();
    if (!connected_) return;
    check_safe();
    check_feedback();
}

void world::check_counts() const {
    std::size_t on_wire = 0;
    std::size_t fed_open = 0;
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        const fake_sink& sink = sinks_[index];
        const engine::lanes& view = relay_->sink(index);
        on_wire += sink.wire.size();
        if (sink.parked_in_row > 20) fail("a sink that refuses all empties the outbox");
        if (view.in_flight() != sink.wire.size()) fail("attempts in flight are miscounted");
        if (view.from_stream() != sink.open.size()) fail("I5: deliveries of a sink are miscounted");
        fed_open += view.unresolved() - view.from_stream();
    }
    if (relay_->in_flight() != on_wire) fail("attempts in flight are miscounted");
    if (!connected_) {
        if (relay_->unresolved_events() != 0) fail("events outlive their stream");
        return;
    }
    std::uint64_t bytes = 0;
    std::uint64_t largest = 0;
    std::uint64_t fed_bytes = 0;
    std::size_t fed = 0;
    std::size_t from_stream = 0;
    for (const auto& [slot, one] : slots_) {
        largest = std::max<std::uint64_t>(largest, one.bytes);
        (one.fed ? fed : from_stream) += 1;
        (one.fed ? fed_bytes : bytes) += one.bytes;
    }
    if (fed_open != fed) fail("I12: rows of the store are miscounted");
    if (relay_->unresolved_events() != from_stream) fail("I5: events are miscounted");
    if (relay_->unresolved_bytes() != bytes) fail("unresolved bytes are miscounted");
    if (from_stream > options_.in_flight_events) fail("I12: more events than allowed");
    if (bytes > options_.in_flight_bytes + largest) fail("I12: more bytes than allowed");
    if (relay_->fed_bytes() != fed_bytes) fail("I12: bytes of the store are miscounted");
    if (fed_bytes > options_.in_flight_bytes + sinks_.size() * largest)
        fail("I12: more bytes of the store than allowed");
    if (relay_->units().entries() > 2 * options_.in_flight_events + 3)
        fail("I12: the ledger grows");
    std::uint64_t behind = 0;
    for (auto unit = units_read_.rbegin(); unit != units_read_.rend(); ++unit) {
        if (unit->end <= recorded_) break;
        behind += unit->events;
    }
    if (relay_->replay_events() != behind) fail("what a crash would repeat is miscounted");
}

/// All below safe was delivered, by an attempt whose end was seen or could have been, or is set
/// aside.
void world::check_safe() {
    const lsn safe = relay_->units().safe();
    if (safe < safe_seen_) fail("I2: what is safe goes back");
    if (safe != safe_seen_ && !ends_.contains(safe))
        fail("I3: safe is where no transaction ends, nor what was adopted");
    safe_seen_ = safe;
    while (units_safe_ < source_.size() && source_[units_safe_].end <= safe) {
        for (const row_pointer& row : source_[units_safe_].rows) {
            if (!resolved(*row)) fail("I1: safe has passed a row that no sink has");
        }
        ++units_safe_;
    }
    if (units_safe_ < source_.size() && safe > source_[units_safe_].commit)
        fail("I3: safe is inside a transaction");
}

/// Not only from a process that was dead then.
bool world::landed_alive(const source_row& row, std::size_t index) const {
    const auto found = sinks_[index].landed.find(row.number);
    return found != sinks_[index].landed.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [](const arrival& one) { return !one.process_dead; });
}

/// Each sink of the row has it, or the store. A row that an operator stepped over counts as well.
bool world::resolved(const source_row& row) const {
    if (row.stepped_over || row.mark) return true;
    const fake_store::row* const without_sink = store_.find(row.place, std::nullopt);
    if (without_sink != nullptr && without_sink->state != engine::aside_state::delivered)
        return true;
    if (row.what == source_row::nature::unroutable) return false;
    return std::all_of(row.sinks.begin(), row.sinks.end(), [&](std::size_t index) {
        return landed_alive(row, index) ||
               store_.find(row.place, static_cast<std::uint16_t>(index)) != nullptr;
    });
}

bool world::dropped(const source_row& row, std::size_t index) const {
    const auto* const there = store_.find(row.place, static_cast<std::uint16_t>(index));
    return there != nullptr && there->state == engine::aside_state::dropped;
}

/// Also a server that asks for nothing closes the connection when it hears nothing.
void world::check_feedback() const {
    constexpr auto period = std::chrono::seconds{1};  // as connect() says
    constexpr auto spacing = std::chrono::milliseconds{10};
    if (relay_->wake_at() > told_at_ + period) fail("I11: the server doesn't hear of the relay");
    if (asked_at_ && relay_->wake_at() > std::max(*asked_at_, told_at_ + spacing))
        fail("I11: the server asks for a reply, and no wake-up for it");
}

void world::check_status(const engine::status_message& told) {
    if (told.flushed.value == 0) return;
    if (told.flushed < acked_) fail("I2: an acknowledgement went back");
    if (!ends_.contains(told.flushed))
        fail("I3: acknowledged where no transaction ends, nor what was adopted");
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
    if (!slots_.empty()) fail("I12: an event was never released");
    if (relay_->replay_events() != 0) fail("all is recorded, and still a crash would repeat");
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        const engine::lanes& view = relay_->sink(index);
        if (view.stalled() || !view.stalls(10).empty()) fail("a stall outlives its cause");
        if (view.held_lanes() > 0 || view.loaded_lanes() > 0)
            fail("a key is held though the store has nothing of it");
    }
}

void world::check_end() const {
    for (const source_transaction& one : source_) {
        for (const row_pointer& row : one.rows) {
            if (!resolved(*row)) fail("I7: a row was lost");
        }
    }
    for (const auto& [id, row] : store_.rows()) {
        if (row.state == engine::aside_state::delivered && row.sink &&
            !landed_alive(*by_number_.at(row.number), *row.sink))
            fail("I7: the store says that a row was delivered, and no sink has it");
    }
    for (const fake_sink& sink : sinks_)
        check_end_of(sink);
}

/// Of each key, the last record is the newest. What a dead process had on the wire can't be called
/// back, so what landed then counts as a repeat only; for a serial sink it must not have come
/// before an older record of its key either. What an operator gave up, or sent again beside its
/// key, has no place in the order.
void world::check_end_of(const fake_sink& sink) const {
    const auto index = static_cast<std::size_t>(&sink - sinks_.data());
    std::map<std::string, std::pair<std::uint64_t, row_number>> newest;
    std::map<std::string, std::pair<std::uint64_t, row_number>> first;
    for (const source_transaction& unit : source_) {
        for (const row_pointer& row : unit.rows) {
            if (std::count(row->sinks.begin(), row->sinks.end(), index) == 0) continue;
            if (!row->keyed() || row->stepped_over || row->out_of_order.contains(index)) continue;
            const auto found = sink.landed.find(row->number);
            if (found == sink.landed.end() || dropped(*row, index)) continue;
            const std::vector<arrival>& all = found->second;
            if (all.empty()) continue;
            if (!row->passed) {
                if (all.front().when < first[row->key].first &&
                    sink.depth == engine::lane_depth::serial)
                    fail("I9: row " + std::to_string(row->number) + " first arrived before row " +
                         std::to_string(first[row->key].second) +
                         ", an older one of its key, at sink" + std::to_string(index));
                first[row->key] = {all.front().when, row->number};
            }
            const auto last = std::find_if(all.rbegin(), all.rend(),
                                           [](const arrival& one) { return !one.process_dead; });
            if (last == all.rend()) continue;
            if (last->when < newest[row->key].first)
                fail("I6: row " + std::to_string(row->number) + " last arrived before row " +
                     std::to_string(newest[row->key].second) +
                     ", an older one of its key, at sink" + std::to_string(index));
            newest[row->key] = {last->when, row->number};
        }
    }
}

}  // namespace walrelay::simulation
