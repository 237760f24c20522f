// The simulated Postgres: the stream, the record and the slot.
#include <algorithm>

#include "simulation/world.hpp"

namespace walrelay::simulation {

void world::commit_one() {
    for (source_transaction& one : source_) {
        if (one.visible) continue;
        one.visible = true;
        wal_end_ = one.end;
        return;
    }
    if (faults_ && chance(0.1)) {  // what other tables write
        wal_end_.value += draw(1, 400'000);
    }
}

// ---- the stream

bool world::can_receive() {
    return next_transaction_ < source_.size() && source_[next_transaction_].visible &&
           relay_->wants_rows();
}

void world::receive() {
    for (std::uint64_t burst = draw(1, 8); burst > 0; --burst) {
        if (!relay_->wants_rows()) return reached_.note(rare::limit_full);
        if (!can_receive()) return;
        const source_transaction& one = source_[next_transaction_];
        if (!next_row_) {
            begin_unit(one);
        } else if (*next_row_ < one.rows.size()) {
            if (!suppressed_) receive_row(one.rows[*next_row_]);
            ++*next_row_;
        } else {
            relay_->commit(one.end);
            units_read_.push_back({one.end, events_of_unit_});
            next_row_.reset();
            ++next_transaction_;
        }
        if (chance(0.7)) pump();
    }
}

void world::begin_unit(const source_transaction& unit) {
    suppressed_ = !relay_->begin(unit.commit, 1);
    next_row_ = 0;
    events_of_unit_ = 0;
    if (!suppressed_) {
        if (unit.end <= recorded_) fail("I6: rows that the record covers are sent again");
        return;
    }
    reached_.note(rare::unit_resolved_before);
    for (const row_pointer& row : unit.rows) {
        if (!landed_alive(*row)) fail("I7: a row was left out that no sink has");
    }
}

void world::receive_row(const row_pointer& row) {
    if (relay_->halted() && !halted_by_sink()) fail("a row was read behind one that halts");
    ++events_of_unit_;
    if (row->stepped_over || (row->sinks.empty() && row->what == source_row::nature::good))
        return relay_->add_discarded();
    engine::event_slot slot = 0;
    if (row->what == source_row::nature::unroutable) {
        slot = relay_->add_unroutable(row->bytes, "no route");
    } else {
        std::vector<event::placement> places;
        for (const std::size_t index : row->sinks) {
            fake_sink& sink = sinks_[index];
            places.push_back({index, row->key, (index << 8) | sink.target_of(*row), row->keyed});
            sink.open[row->number].row = row;
        }
        if (places.size() > 1) reached_.note(rare::event_for_two_sinks);
        slot = relay_->add(row->bytes, places);
    }
    if (!held_.emplace(slot, row).second) fail("a slot was given out twice");
    note_halt();
}

void world::receive_keepalive() {
    // The server's promise: walEnd is never above the commit of a transaction that is not sent
    // whole.
    lsn end = wal_end_;
    if (next_transaction_ < source_.size() && source_[next_transaction_].visible)
        end = source_[next_transaction_].commit;
    if (next_row_) reached_.note(rare::keepalive_inside_transaction);
    const lsn before = relay_->units().safe();
    relay_->keepalive(end, chance(0.3), now_);
    if (relay_->units().safe() == before) return;
    reached_.note(rare::keepalive_adopted);
    if (next_row_) fail("I4: a keepalive inside a transaction was adopted");
    if (!held_.empty()) fail("I4: a keepalive was adopted before all was resolved");
}

// ---- record and acknowledgement

void world::write_record(bool at_once) {
    const auto due = relay_->record_due(now_, at_once);
    if (!due) return;
    if (writing_) fail("a record is to be written while another one is");
    writing_ = record_write{due->safe, true, true};
    if (faults_ && chance(0.1)) {
        writing_->answered = false;
        writing_->lands = chance(0.5);
    }
    if (chance(0.5)) land_record();
}

void world::land_record() {
    if (!writing_->lands) return;
    writing_->lands = false;
    record_ = std::max(record_, writing_->safe);
    records_.emplace_back(record_, wal_end_);
}

void world::end_record() {
    land_record();
    if (!connected_) reached_.note(rare::record_outlived_stream);
    if (writing_->answered) {
        recorded_ = writing_->safe;
        relay_->recorded("1:2:", wal_end_);
    } else {
        relay_->record_failed();
        reached_.note(rare::record_outcome_unknown);
    }
    writing_.reset();
}

void world::send_status(bool at_once) {
    const auto told = relay_->status_due(now_, at_once);
    if (!told) return;
    check_status(*told);
    confirmed_ = std::max(confirmed_, told->flushed);
}

// ---- connections

void world::connect() {
    if (any_on_wire()) return;  // attempts on the wire are awaited first
    if (writing_) end_record();
    connected_ = true;
    units_read_.clear();
    recorded_ = record_;
    relay_->stream_started(record_, known_timeline_ == timeline_, std::chrono::seconds{1}, now_);
    known_timeline_ = timeline_;
    const auto first =
        std::find_if(source_.begin(), source_.end(),
                     [&](const source_transaction& one) { return one.commit >= confirmed_; });
    next_transaction_ = static_cast<std::size_t>(first - source_.begin());
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        if (relay_->sink(index).wake_at() != never)
            fail("a new stream begins with a wake-up for a record of the last one");
    }
    pump();
}

void world::disconnect() {
    if (!connected_) return;
    connected_ = false;
    next_row_.reset();
    if (any_on_wire()) reached_.note(rare::reconnect_with_attempts_in_flight);
    for (fake_sink& sink : sinks_) {
        sink.open.clear();
        for (wire_attempt& one : sink.wire)
            one.orphaned = true;
    }
    relay_->stream_lost();
    note_halt();
    free_released();
}

void world::server_crash() {
    if (durable_confirmed_ < confirmed_) reached_.note(rare::confirmed_position_went_back);
    confirmed_ = durable_confirmed_;
    disconnect();
}

/// A standby takes over that had the WAL up to a position inside or behind one of the last
/// transactions. What came after that is gone, and other rows get its positions.
void world::failover() {
    disconnect();
    reached_.note(rare::failover);
    ++timeline_;
    if (writing_) writing_->lands = false;  // at best on the old primary

    const auto visible = static_cast<std::size_t>(
        std::count_if(source_.begin(), source_.end(), [](const auto& one) { return one.visible; }));
    const std::size_t kept = visible - std::min<std::size_t>(visible, draw(0, 5));
    lsn end{kept == 0 ? 100 : source_[kept - 1].end.value};
    end.value += draw(0, 3);
    for (std::size_t i = kept; i < visible; ++i) {
        if (!source_[i].rows.empty() && landed_alive(*source_[i].rows.front())) {
            reached_.note(rare::failover_lost_delivered_rows);
            break;
        }
    }
    wal_end_ = std::min(wal_end_, end);
    const std::size_t replaced = source_.size() - kept;
    source_.resize(kept);
    last_event_ = {};
    for (const source_transaction& one : source_) {
        if (!one.rows.empty()) last_event_ = one.end;
    }
    draw_transactions(std::max<std::size_t>(replaced, 1), wal_end_.value);

    while (!records_.empty() && records_.back().second > wal_end_)
        records_.pop_back();
    record_ = records_.empty() ? lsn{} : records_.back().first;
    confirmed_ = std::min({confirmed_, durable_confirmed_, record_});
    if (chance(0.5) && kept > 0)  // the slot was copied some time ago
        confirmed_ = std::min(confirmed_, source_[draw(0, kept - 1)].end);
    durable_confirmed_ = confirmed_;
    units_safe_ = 0;
}

}  // namespace walrelay::simulation
