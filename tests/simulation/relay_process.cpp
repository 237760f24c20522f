// The relay as a process: how it ends, halts and starts again.
#include <algorithm>

#include "simulation/world.hpp"

namespace walrelay::simulation {

void world::new_relay() {
    if (process_ > 0 && chance(0.3)) draw_limits();  // the file has changed
    options_.seed = random_.next();
    intake_.reset();
    reader_.reset();
    relay_.emplace(options_);
    events_ = {};
    auto made = event::router::make(model_);
    if (!made) fail("the routes don't compile: " + made.error().text());
    routes_.emplace(std::move(*made));
    ++process_;
    connected_ = false;
    known_timeline_ = 0;
    next_row_.reset();
    read_open_ = false;
    wire_.clear();
    slots_.clear();
    units_read_.clear();
    halted_at_.reset();
    safe_seen_ = acked_ = {};
    for (fake_sink& sink : sinks_)
        sink.forget_process();
}

/// What is on the wire may still land, some time, or never.
void world::relay_crash() {
    tell("the relay crashes");
    end_process();
}

void world::end_process() {
    if (read_open_) reached_.note(rare::relay_crash_in_transaction);
    if (connected_ && relay_->units().safe() > confirmed_)
        reached_.note(rare::crash_between_delivery_and_ack);
    if (calling_) reached_.note(rare::crash_while_setting_aside);
    for (fake_sink& sink : sinks_) {
        for (const wire_attempt& one : sink.wire) {
            if (chance(0.7)) sink.late.push_back({one.row, process_});
        }
    }
    if (writing_ && chance(0.5)) land_record();
    writing_.reset();
    if (calling_ && chance(0.5)) land_store_call();
    calling_.reset();
    new_relay();
}

/// What is on the wire ends, the last record is written, the last status sent.
void world::stop_cleanly() {
    tell("the relay stops");
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        while (!sinks_[index].wire.empty())
            end_attempt_of(index);
    }
    if (calling_) end_store_call();
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
    end_process();
}

/// The operator puts a route to none for the row before the others, and restarts the relay.
void world::step_over() {
    reached_.note(rare::stepped_over);
    tell("an operator steps over ", *halted_at_, " and restarts the relay");
    halted_at_->stepped_over = true;
    config::route none;
    none.from_schema = "shop";
    none.from_table = "event";
    none.where = {{"id", {std::to_string(halted_at_->number)}}};
    config::mapped_shape shape;
    shape.payload = "payload";
    none.shape = shape;
    if (halted_at_->message) none = for_messages(std::move(none));
    model_.routes.insert(model_.routes.begin(), std::move(none));
    chance(0.5) ? stop_cleanly() : relay_crash();
}

void world::note_halt() {
    if (!relay_->halted()) return halted_at_.reset();
    using nature = source_row::nature;
    const bool behind_another = halted_at_ && halted_at_->what == nature::unroutable;
    if (halted_at_ && !(behind_another && halted_by_sink())) return;
    halted_at_ = kept(relay_->halted()->event).row;
    tell("the relay halts at ", *halted_at_);
    switch (halted_at_->what) {
        case nature::good:
            return reached_.note(rare::halted_by_the_sink);
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
    for (const engine::event_slot slot : relay_->take_released()) {
        const auto found = slots_.find(slot);
        if (found == slots_.end()) fail("an event was released twice");
        slots_.erase(found);
        events_.release(slot);
    }
}

}  // namespace walrelay::simulation
