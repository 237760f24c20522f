// The simulated Postgres: the stream, the record and the slot.
#include <algorithm>

#include "walrelay/core/stable_hash.hpp"

#include "simulation/world.hpp"

namespace walrelay::simulation {

void world::commit_one() {
    if (transactions_left_ > 0) {
        --transactions_left_;
        auto drawn = draw_transaction();
        if (drawn) commit(std::move(*drawn));
        return;
    }
    if (faults_ && chance(0.1)) wal_end_.value += draw(1, 400'000);  // what other tables write
}

void world::commit(source_transaction unit) {
    // A commit may follow a message at once, and so begin where that ends.
    const std::uint64_t gap = !source_.empty() && source_.back().lone && !unit.lone ? 0 : 1;
    unit.commit = lsn{wal_end_.value + (chance(0.1) ? 300'000 : draw(gap, 50))};
    unit.end = lsn{unit.commit.value + (unit.lone ? 1 : draw(1, 9))};
    wal_end_ = unit.end;
    std::int32_t rows = 0;
    std::uint32_t messages = 0;
    for (const row_pointer& row : unit.rows) {
        row->place = {unit.commit, row->message ? rows - 1 : rows++, row->message ? ++messages : 0};
        if (unit.lone) row->place = {unit.end, -1, 0};
        by_number_[row->number] = row;
    }
    if (!unit.rows.empty()) last_event_ = unit.end;
    tell_commit(unit);
    source_.push_back(std::move(unit));
}

engine::lane_key world::lane_of(const std::string& key) {
    return {stable_hash(column_of_key(key)), engine::lane_key::kind::keyed};
}

// ---- the stream

/// The walsender goes on, as far as the pipe takes it.
void world::send_bytes() {
    for (std::uint64_t burst = draw(1, 8); burst > 0; --burst) {
        if (next_transaction_ >= source_.size()) return;
        const source_transaction& one = source_[next_transaction_];
        if (one.lone) {
            wire_.lone_message(one);
            ++next_transaction_;
        } else if (!next_row_) {
            wire_.begin(one);
            next_row_ = 0;
        } else if (*next_row_ < one.rows.size()) {
            wire_.row(one, one.rows[*next_row_], chance(0.05));
            ++*next_row_;
        } else {
            wire_.commit(one);
            next_row_.reset();
            ++next_transaction_;
        }
    }
}

bool world::can_receive() {
    const bool more = next_transaction_ < source_.size() || !wire_.empty();
    return more && relay_->wants_rows();
}

void world::receive() {
    send_bytes();
    for (std::uint64_t burst = draw(1, 12); burst > 0; --burst) {
        if (!relay_->wants_rows()) return reached_.note(rare::limit_full);
        auto frame = wire_.read(draw(1, 400));
        if (!frame) {
            reached_.note(rare::part_of_a_frame);
            continue;
        }
        if (faults_ && fault(break_rate_ / 4)) return receive_damaged(frame->second);
        take(frame->first, std::move(frame->second));
        if (!connected_) return;
        if (chance(0.7)) pump();
    }
}

/// A message that is cut off anywhere ends the stream.
void world::receive_damaged(const pgoutput::frame& whole) {
    reached_.note(rare::damaged_frame);
    tell("a message arrives that is cut off");
    intake_->resumed();
    if (intake_->take(wire::cut(whole, draw(0, whole.size() - 1))))
        fail("I13: a message that is cut off was taken");
    disconnect();
}

void world::take(const frame_note& note, pgoutput::frame&& frame) {
    using kind = frame_note::kind;
    const lsn safe_before = relay_->units().safe();
    const std::uint64_t events_before = relay_->unresolved_events();
    const std::uint64_t bytes_before = relay_->unresolved_bytes();
    std::vector<std::size_t> unresolved_before;
    for (std::size_t i = 0; i < sinks_.size(); ++i)
        unresolved_before.push_back(relay_->sink(i).from_stream());
    const bool lone = note.what == kind::lone_message;
    if (note.what == kind::begin || lone) begin_unit(note.position);
    if ((note.what == kind::row || lone) && !suppressed_ && relay_->halted() && !halted_by_sink())
        fail("a row was read behind one that halts");

    intake_->resumed();
    if (auto taken = intake_->take(std::move(frame)); !taken)
        fail("the stream was given up: " + taken.error().text());

    switch (note.what) {
        case kind::begin:
        case kind::relation:
            break;
        case kind::row:
        case kind::lone_message:
            if (suppressed_ && relay_->unresolved_events() > events_before)
                fail("I10: a row is taken again that safe covers");
            if (!suppressed_) note_row(note, events_before, bytes_before, unresolved_before);
            if (lone) end_unit(lsn{note.position.value + 1});
            break;
        case kind::commit:
            end_unit(note.position);
            break;
        case kind::keepalive:
            if (note.wants_reply && !asked_at_) asked_at_ = now_;
            if (read_open_) reached_.note(rare::keepalive_inside_transaction);
            if (relay_->units().safe() == safe_before) break;
            ends_.insert(note.position);
            reached_.note(rare::keepalive_adopted);
            tell("a keepalive's position is safe: ", note.position.value);
            if (read_open_) fail("I4: a keepalive inside a transaction was adopted");
            if (events_before > 0) fail("I4: a keepalive was adopted before all was resolved");
            break;
    }
    free_released();
}

void world::begin_unit(lsn commit_lsn) {
    suppressed_ = commit_lsn < relay_->units().safe();
    read_open_ = true;
    events_of_unit_ = 0;
    const auto unit = std::find_if(source_.begin(), source_.end(),
                                   [&](const auto& one) { return one.commit == commit_lsn; });
    if (!suppressed_) {
        if (unit->end <= recorded_) fail("I6: rows that the record covers are sent again");
        return;
    }
    reached_.note(rare::unit_resolved_before);
    for (const row_pointer& row : unit->rows) {
        if (!resolved(*row)) fail("I7: a row was left out that no sink has");
    }
}

void world::end_unit(lsn end) {
    read_open_ = false;
    units_read_.push_back({end, events_of_unit_});
    ends_.insert(end);
}

/// What the engine made of a row, seen from outside.
void world::note_row(const frame_note& note, std::uint64_t events_before,
                     std::uint64_t bytes_before,
                     const std::vector<std::size_t>& unresolved_before) {
    ++events_of_unit_;
    const row_pointer& row = note.row;
    const bool tracked = relay_->unresolved_events() > events_before;
    const std::uint64_t bytes = relay_->unresolved_bytes() - bytes_before;
    if (tracked) {
        const engine::event_slot slot = note_new_slot(row->mark ? nullptr : row, bytes, false);
        if (events_.at(slot).position.place() != row->place) fail("I8: a row has another's place");
    }
    if (row->mark) {
        return note_mark(*row->mark);
    }
    const bool redriven =
        std::any_of(redriven_keys_.begin(), redriven_keys_.end(),
                    [&](const auto& waiting) { return waiting.second.contains(row->key); });
    if (redriven) reached_.note(rare::row_between_redrive_and_its_application);
    if (row->message)
        reached_.note(note.what == frame_note::kind::row ? rare::message_inside_transaction
                                                         : rare::message_between_transactions);
    if (row->what == source_row::nature::unroutable) row->passed = true;
    std::size_t opened = 0;
    for (const std::size_t index : row->sinks) {
        if (row->stepped_over) break;
        if (relay_->sink(index).from_stream() == unresolved_before[index]) {
            reached_.note(rare::read_again_and_resolved_by_the_store);
            check_taken_as_resolved(*row, index);
            continue;
        }
        ++opened;
        open_delivery fresh;
        fresh.row = row;
        if (row->keyed() && relay_->sink(index).held(lane_of(row->key))) {
            fresh.now = open_delivery::state::leaving;
            reached_.note(rare::queued_behind_a_held_key);
        }
        sinks_[index].open[row->number] = fresh;
    }
    if (opened > 1) reached_.note(rare::event_for_two_sinks);
    note_halt();
}

/// The newest mark says whether a sink is paused; the relay may have looked ahead.
void world::note_mark(const operator_mark& mark) {
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        if (mark.sink != model_.sinks[i].name || mark.id <= sinks_[i].pause_mark) continue;
        sinks_[i].pause_mark = mark.id;
        sinks_[i].paused = mark.action == "pause";
    }
}

const world::slot_note& world::kept(engine::event_slot slot) const {
    const auto found = slots_.find(slot);
    if (found == slots_.end()) fail("I12: an event was released that is still to be delivered");
    return found->second;
}

engine::event_slot world::note_new_slot(const row_pointer& row, std::uint64_t bytes, bool fed) {
    for (engine::event_slot slot = 0; slot < events_.size(); ++slot) {
        const intake::stored_event& one = events_.at(slot);
        if ((!one.plan && !one.wish) || slots_.contains(slot)) continue;
        slots_.emplace(slot, slot_note{row, bytes, fed});
        return slot;
    }
    fail("an event is tracked that nobody keeps");
}

void world::send_keepalive() {
    // The server's promise: walEnd is never above the commit of a transaction that is not sent
    // whole.
    lsn end = wal_end_;
    if (next_transaction_ < source_.size()) end = source_[next_transaction_].commit;
    wire_.keepalive(end, chance(0.3));
    receive();
}

// ---- record and acknowledgement

void world::write_record(bool at_once) {
    const auto due = relay_->record_due(now_, at_once);
    if (!due) return;
    if (writing_) fail("a record is to be written while another one is");
    if (due->safe < record_ && known_timeline_ == timeline_) fail("I2: the record goes back");
    writing_ = record_write{due->safe, true, true};
    if (faults_ && fault(0.1)) {
        writing_->answered = false;
        writing_->lands = chance(0.5);
    }
    if (stopping_) writing_->answered = writing_->lands = false;
    if (chance(0.5)) land_record();
}

void world::land_record() {
    if (!writing_->lands) return;
    writing_->lands = false;
    record_ = std::max(record_, writing_->safe);
    records_.emplace_back(record_, wal_end_);
    tell("the record says ", record_.value);
}

void world::end_record() {
    land_record();
    if (!connected_) reached_.note(rare::record_outlived_stream);
    if (writing_->answered) {
        recorded_ = writing_->safe;
        relay_->recorded("1:2:", wal_end_);
    } else {
        tell("what became of the record is unknown");
        relay_->record_failed();
        if (stopping_) stopping_->relay_knows = chance(0.5);
        reached_.note(rare::record_outcome_unknown);
    }
    writing_.reset();
}

void world::send_status(bool at_once) {
    const auto told = relay_->status_due(now_, at_once);
    if (told) tell_status(*told);
}

void world::tell_status(const engine::status_message& told) {
    if (told.flushed > confirmed_) tell("the relay acknowledges ", told.flushed.value);
    check_status(told);
    told_at_ = now_;
    asked_at_.reset();
    acked_ = std::max(acked_, told.flushed);
    confirmed_ = std::max(confirmed_, told.flushed);
    if (stopping_) server_hears(told);
}

// ---- connections

void world::connect() {
    if (any_on_wire()) return;  // attempts on the wire are awaited first
    if (faults_ && fault(0.1)) {
        tell("the slot is still held");
        return reached_.note(rare::slot_busy);
    }
    if (writing_) end_record();
    if (calling_) end_store_call();
    tell("the relay connects at ", confirmed_.value, ", the record says ", record_.value);
    connected_ = true;
    ++epoch_;
    units_read_.clear();
    recorded_ = record_;
    wire_.clear();
    intake_.emplace(model_, *routes_, *relay_, events_, counters_,
                    intake::clocks{[this] { return now_; }, [] { return 1; }});
    reader_.emplace(*routes_);
    const engine::aside_start known = store_.start(record_);
    if (!known.lanes.empty()) reached_.note(rare::started_with_held_keys);
    for (const auto& [id, row] : store_.rows()) {
        if (holds_its_key(row)) sinks_[*row.sink].held_keys.insert(by_number_.at(row.number)->key);
    }
    read_pauses();
    relay_->stream_started(record_, known_timeline_ == timeline_, known, std::chrono::seconds{1},
                           now_);
    if (known_timeline_ != timeline_) safe_seen_ = acked_ = {};
    known_timeline_ = timeline_;
    told_at_ = now_;
    asked_at_.reset();
    const auto first =
        std::find_if(source_.begin(), source_.end(),
                     [&](const source_transaction& one) { return one.commit >= confirmed_; });
    next_transaction_ = static_cast<std::size_t>(first - source_.begin());
    next_row_.reset();
    read_open_ = false;
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        // A target that stalls is remembered, and forgotten after a while: that takes a wake-up.
        if (!relay_->sink(index).targets_stall() && relay_->sink(index).wake_at() != never)
            fail("a new stream begins with a wake-up for a record of the last one");
    }
    pump();
}

void world::disconnect() {
    if (!connected_) return;
    tell("the connection is lost");
    connected_ = false;
    next_row_.reset();
    read_open_ = false;
    wire_.clear();
    if (any_on_wire()) reached_.note(rare::reconnect_with_attempts_in_flight);
    for (fake_sink& sink : sinks_) {
        sink.open.clear();
        sink.fed_over.clear();
        sink.held_keys.clear();
        for (wire_attempt& one : sink.wire)
            one.orphaned = true;
    }
    if (calling_) calling_->stale = true;
    relay_->stream_lost();
    note_halt();
    free_released();
}

void world::server_crash() {
    tell("the server crashes");
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
    if (calling_) calling_->lands = false;

    const std::size_t kept = source_.size() - std::min<std::size_t>(source_.size(), draw(0, 5));
    lsn end{kept == 0 ? 100 : source_[kept - 1].end.value};
    end.value += draw(0, 3);
    tell("a standby takes over that knows the WAL up to ", end.value);
    for (std::size_t i = kept; i < source_.size(); ++i) {
        if (!source_[i].rows.empty() && resolved(*source_[i].rows.front())) {
            reached_.note(rare::failover_lost_delivered_rows);
            break;
        }
    }
    wal_end_ = std::min(wal_end_, end);
    transactions_left_ += std::max<std::size_t>(source_.size() - kept, 1);
    source_.resize(kept);
    last_event_ = {};
    for (const source_transaction& one : source_) {
        if (!one.rows.empty()) last_event_ = one.end;
    }
    store_.roll_back(wal_end_);
    while (!records_.empty() && records_.back().second > wal_end_)
        records_.pop_back();
    record_ = records_.empty() ? lsn{} : records_.back().first;
    confirmed_ = std::min({confirmed_, durable_confirmed_, record_});
    if (chance(0.5) && kept > 0)  // the slot was copied some time ago
        confirmed_ = std::min(confirmed_, source_[draw(0, kept - 1)].end);
    durable_confirmed_ = confirmed_;
    units_safe_ = 0;
    redriven_keys_.clear();  // which of them are gone doesn't matter
}

}  // namespace walrelay::simulation
