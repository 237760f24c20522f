// What must hold at each send, and when nothing is sent.
#include <algorithm>

#include "simulation/world.hpp"

namespace walrelay::simulation {

void world::check_send(std::size_t index, const open_delivery& chosen,
                       const engine::engine::attempt& attempt) const {
    using state = open_delivery::state;
    const fake_sink& sink = sinks_[index];
    if (chosen.now == state::on_wire) fail("I6: a record was sent while it is on the wire");
    if (chosen.now == state::leaving) fail("I6: a record was sent that is set aside");
    if (attempt.number != chosen.sends + 1) fail("attempts of a record are miscounted");
    check_not_in_store(index, *chosen.row);
    if (chosen.row->keyed() && waits_in_store(index, *chosen.row))
        fail("I6: a record was sent past those of its key in the store");
    bool any_failed = false;
    for (const auto& [number, other] : sink.open) {
        any_failed = any_failed || (other.failed && other.now != state::leaving);
        if (other.suspect && !sink.wire.empty())
            fail("a record was sent beside another while a refused batch is looked into");
        if (number >= chosen.row->number || !chosen.row->keyed()) continue;
        if (other.row->key != chosen.row->key || other.passable) continue;
        if (other.now == state::waits_again)
            fail("I6: a record was sent while an older one of its key waits to be sent again");
        if (other.now != state::on_wire)
            fail("I6: a record was sent before an older one of its key");
        if (sink.depth == engine::lane_depth::serial) fail("I6: two records of a key at once");
    }
    if (sink.depth == engine::lane_depth::pipelined && chosen.row->keyed() && !any_failed &&
        relay_->delivery_at(attempt.token.slot).in_lane) {
        fail("keys stay in lanes though no record fails any more");
    }
}

/// What is parked, dropped, or sent from the store beside its key, is not sent from the stream.
void world::check_not_in_store(std::size_t index, const source_row& row) const {
    using engine::aside_state;
    const fake_store::row* there = store_.find(row.place, static_cast<std::uint16_t>(index));
    if (there == nullptr) there = store_.find(row.place, std::nullopt);
    if (there == nullptr || there->state == aside_state::delivered) return;
    if (there->state == aside_state::held && there->holds_key && there->lane) return;
    fail("I10: row " + std::to_string(row.number) +
         " was sent from the stream, and the store has it as " +
         (there->state == aside_state::held ? "held" : "parked or dropped"));
}

/// What a sink gets is the row that was committed, each time, by its own key and target.
void world::check_record(std::size_t index, const engine::engine::attempt& attempt,
                         const source_row& row) {
    const engine::delivery& own = relay_->delivery_at(attempt.token.slot);
    const bool keyed = own.lane_of.what == engine::lane_key::kind::keyed;
    if (own.stored == 0 && keyed != row.keyed())
        fail(keyed ? "I16: a row without a key is kept in order" : "I6: a row has lost its key");
    if (own.stored == 0 && keyed && own.lane_of != lane_of(row.key))
        fail("I6: a row is in the lane of another key");
    std::uint64_t& target = sinks_[index].target_hashes.try_emplace(row.target).first->second;
    if (target == 0) target = own.target_hash;
    if (target != own.target_hash) fail("I16: a row is counted for another topic or URL");

    const intake::stored_event& event = events_.at(attempt.event);
    const auto built =
        event.plan->build(event.row, event.route, index, event.position, 1, record_sent_);
    if (!built) fail("a good row makes no record: " + built.error().text());
    if (record_sent_.id != std::to_string(row.number)) fail("I8: a row is sent by another id");
    if (record_sent_.body != row.body()) fail("I8: a row is sent with another body");
    const bool same_key =
        row.keyed() ? record_sent_.key == column_of_key(row.key) : !record_sent_.key;
    if (!same_key) fail("I8: a row is sent with another key");
    if (!record_sent_.destination.ends_with("t" + std::to_string(row.target)))
        fail("I8: a row is sent to another topic or URL");
}

/// Rows of its key are in the store, and not known to be resolved there.
bool world::waits_in_store(std::size_t index, const source_row& row) const {
    const engine::lane_key lane = lane_of(row.key);
    return std::any_of(store_.rows().begin(), store_.rows().end(), [&](const auto& entry) {
        const fake_store::row& other = entry.second;
        return other.sink == index && other.lane == lane.value && holds_its_key(other);
    });
}

/// A row that the store gave back.
void world::check_fed_send(std::size_t index, const fake_store::row& stored,
                           const source_row& row) const {
    const fake_sink& sink = sinks_[index];
    if (stored.sink != index) fail("a row of the store was sent to another sink");
    if (stored.number != row.number) fail("a row of the store came back as another one");
    if (sink.fed_over.contains(stored.id)) fail("I6: a row of the store was sent again too early");
    if (!row.keyed() || !stored.holds_key) return;
    for (const auto& [id, other] : store_.rows()) {
        if (other.sink != index || other.lane != stored.lane) continue;
        if (other.holds_key != stored.holds_key || sink.fed_over.contains(id)) continue;
        const bool waits = other.state == engine::aside_state::held || holds_its_key(other);
        if (!waits || !(other.position.place() < stored.position.place())) continue;
        if (!landed_alive(*by_number_.at(other.number), index))  // else it is read again
            fail("I6: row " + std::to_string(row.number) + " of the store was sent before row " +
                 std::to_string(other.number));
    }
    for (const auto& [number, other] : sink.open) {
        if (other.row->key != row.key || other.passable) continue;
        if (other.now == open_delivery::state::on_wire) fail("I6: two records of a key at once");
        const auto landed = sink.landed.find(number);
        const bool again = landed != sink.landed.end() && !landed->second.empty();
        if (number < row.number && !again)
            fail("I6: row " + std::to_string(row.number) + " of the store was sent before row " +
                 std::to_string(number));
    }
}

/// After next() had nothing more for a sink.
void world::check_quiet(std::size_t index) const {
    const fake_sink& sink = sinks_[index];
    if (halted_by_sink()) return;
    if (relay_->wake_at() > sink.quiet_until) fail("the engine sleeps longer than its sink");
    if (sink.full) return;
    if (sink.quiet_until <= now_) fail("a wake-up is due, and there is nothing to send");
    const bool waits = std::any_of(sink.open.begin(), sink.open.end(), [](const auto& one) {
        return one.second.now != open_delivery::state::leaving;
    });
    const bool all_known = relay_->store().empty();  // else some are on their way there
    if (sink.wire.empty() && waits && all_known && sink.quiet_until == never && !sink.paused)
        fail("I7: records wait, nothing is on the wire, and no wake-up");
}

}  // namespace walrelay::simulation
