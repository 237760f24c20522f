// The relay as a process: how it ends, halts and starts again.
#include <algorithm>

#include "simulation/world.hpp"

namespace walrelay::simulation {

void world::new_relay() {
    options_.seed = random_();
    relay_.emplace(options_);
    ++process_;
    connected_ = false;
    known_timeline_ = 0;
    next_row_.reset();
    held_.clear();
    units_read_.clear();
    halted_at_.reset();
    for (fake_sink& sink : sinks_) {
        sink.wire.clear();
        sink.open.clear();
        sink.full = false;
    }
}

/// What is on the wire may still land, some time, or never.
void world::relay_crash() {
    if (next_row_) reached_.note(rare::relay_crash_in_transaction);
    if (connected_ && relay_->units().safe() > confirmed_)
        reached_.note(rare::crash_between_delivery_and_ack);
    for (fake_sink& sink : sinks_) {
        for (const wire_attempt& one : sink.wire) {
            if (chance(0.7)) sink.late.push_back({one.row, process_});
        }
    }
    if (writing_ && chance(0.5)) land_record();
    writing_.reset();
    new_relay();
}

/// What is on the wire ends, the last record is written, the last status sent.
void world::stop_cleanly() {
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        while (!sinks_[index].wire.empty())
            end_attempt_of(index);
    }
    if (connected_) {
        if (writing_) end_record();
        write_record(true);
        const bool answered = writing_ && writing_->answered;
        if (writing_) end_record();
        if (answered && record_ != relay_->units().safe())
            fail("a clean stop leaves delivered rows behind the record");
        send_status(true);
        reached_.note(rare::clean_restart);
    }
    relay_crash();
}

/// The operator puts a route to none for the row before the others, and restarts the relay.
void world::step_over() {
    reached_.note(rare::stepped_over);
    halted_at_->stepped_over = true;
    chance(0.5) ? stop_cleanly() : relay_crash();
}

void world::note_halt() {
    if (!relay_->halted()) return halted_at_.reset();
    using nature = source_row::nature;
    const bool behind_another = halted_at_ && halted_at_->what == nature::unroutable;
    if (halted_at_ && !(behind_another && halted_by_sink())) return;
    halted_at_ = held_.at(relay_->halted()->event);
    switch (halted_at_->what) {
        case nature::good:
            fail("halted at a row that nobody refuses");
        case nature::refused:
            return reached_.note(rare::halted_after_three_refusals);
        case nature::final:
            return reached_.note(rare::halted_at_once);
        case nature::batch:
            return reached_.note(rare::halted_by_batch_alone);
        case nature::unroutable:
            return reached_.note(rare::halted_without_route);
    }
}

void world::free_released() {
    for (const engine::event_slot slot : relay_->released()) {
        const auto found = held_.find(slot);
        if (found == held_.end()) fail("an event was released twice");
        for (const fake_sink& sink : sinks_) {
            if (sink.open.contains(found->second->number))
                fail("I5: an event was released before each of its sinks had it");
        }
        held_.erase(found);
    }
    relay_->released().clear();
}

}  // namespace walrelay::simulation
