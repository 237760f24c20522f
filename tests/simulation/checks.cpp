// What must hold after each step, and in the end.
#include <algorithm>

#include "simulation/world.hpp"

namespace walrelay::simulation {

void world::check_status(const engine::status_message& told) const {
    if (told.flushed.value == 0) return;
    if (told.flushed > relay_->units().safe()) fail("I1: acknowledged above what is safe");
    if (told.flushed > record_) fail("I15: acknowledged above the durable record");
    for (std::size_t t = 0; t < source_.size(); ++t) {
        const source_transaction& one = source_[t];
        if (told.flushed <= one.commit) break;
        if (told.flushed < one.end) fail("I3: acknowledged a position inside a transaction");
        for (std::size_t r = 0; r < one.rows.size(); ++r) {
            for (const std::size_t sink : one.rows[r].sinks) {
                if (!sinks_[sink].applied.contains({t, r}))
                    fail("I1: acknowledged a row that no sink has");
            }
        }
    }
}

void world::check_limits() const {
    if (relay_->unresolved_events() > options_.in_flight_events)
        fail("I12: more events in memory than allowed");
    if (relay_->unresolved_bytes() > options_.in_flight_bytes + 100)
        fail("I12: more bytes in memory than allowed");
    if (held_.size() < relay_->unresolved_events()) fail("I5: an unresolved event was released");
    if (relay_->units().entries() > 2 * options_.in_flight_events + 3)
        fail("I12: the ledger grows");
}

void world::check_wire() const {
    for (const fake_sink& sink : sinks_) {
        if (sink.depth == engine::lane_depth::pipelined) continue;
        std::vector<std::uint32_t> keys;
        for (const wire_attempt& one : sink.wire) {
            if (!one.keyed) continue;
            if (std::count(keys.begin(), keys.end(), one.key) > 0)
                fail("I6: two records of a key at once");
            keys.push_back(one.key);
        }
    }
}

bool world::all_delivered() const {
    return std::all_of(source_.begin(), source_.end(),
                       [](const auto& one) { return one.visible; }) &&
           connected_ && relay_->idle() && next_transaction_ == source_.size();
}

/// Nothing is lost, and per sink and key the last record is the newest: last arrivals are in source
/// order.
void world::check_end() const {
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        std::map<std::uint32_t, std::uint64_t> newest;
        std::map<std::uint32_t, std::uint64_t> first;
        for (std::size_t t = 0; t < source_.size(); ++t) {
            for (std::size_t r = 0; r < source_[t].rows.size(); ++r) {
                const source_row& row = source_[t].rows[r];
                if (std::count(row.sinks.begin(), row.sinks.end(), index) == 0) continue;
                const auto applied = sinks_[index].applied.find({t, r});
                if (applied == sinks_[index].applied.end() || applied->second.empty())
                    fail("I7: a row was lost");
                if (!row.keyed) continue;
                if (applied->second.back() < newest[row.key])
                    fail("I6: an older row was the last of its key");
                newest[row.key] = applied->second.back();
                if (sinks_[index].depth == engine::lane_depth::pipelined) continue;
                if (applied->second.front() < first[row.key])
                    fail("I9: a row arrived before an older one of its key");
                first[row.key] = applied->second.front();
            }
        }
    }
    if (!held_.empty()) fail("I12: an event was never released");
}

}  // namespace walrelay::simulation
