// walrelay.parked as the relay calls it, and operators.
#include <algorithm>
#include <map>

#include "simulation/world.hpp"
#include "walrelay/core/planted.hpp"

namespace walrelay::simulation {

using engine::aside_state;

// ---- calls

void world::ask_store() {
    auto due = relay_->store_due(now_);
    if (!due) return;
    if (calling_) fail("the store is asked while it is asked");
    calling_.emplace();
    calling_->request = std::move(*due);
    if (const auto* put = std::get_if<engine::put_request>(&calling_->request)) note_puts(*put);
    if (const auto* mark = std::get_if<engine::mark_request>(&calling_->request))
        calling_->wish = *events_.at(mark->event).wish;
    if (faults_ && fault(store_fault_rate_)) {
        calling_->answered = false;
        calling_->lands = chance(0.5);
    }
    if (stopping_) calling_->answered = calling_->lands = false;
    if (chance(0.5)) land_store_call();
}

void world::note_puts(const engine::put_request& asked) {
    for (const engine::aside_put& put : asked.rows) {
        const intake::stored_event& event = events_.at(put.event);
        const slot_note& noted = kept(put.event);
        const row_pointer row = noted.row;
        if (!row || noted.fed) fail("something is set aside that the stream didn't bring");
        check_put(put, *row);
        fake_store::row made;
        made.position = event.position;
        made.state = put.state;
        made.holds_key = put.holds_key;
        made.attempts = put.attempts;
        made.epoch = epoch_;
        made.messages = intake::messages_of(event);
        made.number = row->number;
        if (put.delivery != engine::no_delivery) {
            made.sink = put.sink;
            if (row->keyed()) made.lane = lane_of(row->key).value;
            if (row->keyed() && put.holds_key) sinks_[put.sink].held_keys.insert(row->key);
            open_delivery& own = sinks_[put.sink].open.at(row->number);
            own.now = open_delivery::state::leaving;
        }
        reached_.note(put.state == aside_state::held ? rare::key_set_aside : rare::row_parked);
        calling_->puts.push_back(std::move(made));
    }
}

void world::land_store_call() {
    if (!calling_->lands || calling_->landed) return;
    calling_->landed = true;
    const auto& request = calling_->request;
    if (calling_->wish) tell("mark ", calling_->wish->id, " is applied to the store");
    if (std::holds_alternative<engine::put_request>(request)) {
        for (const fake_store::row& row : calling_->puts) {
            tell_put(row);
            calling_->there.push_back(store_.put(row, wal_end_));
            for (std::size_t i = 0; !row.sink && i < sinks_.size(); ++i)
                by_number_.at(row.number)->out_of_order.insert(i);
            if (row.sink && row.state == aside_state::parked && !row.holds_key)
                by_number_.at(row.number)->out_of_order.insert(*row.sink);
        }
    } else if (const auto* changes = std::get_if<engine::change_request>(&request)) {
        for (const engine::aside_change& one : changes->rows) {
            store_.change(one, wal_end_);
            tell("    row ", one.id, " of the store is ",
                 one.state == aside_state::delivered ? "delivered" : "parked");
            if (one.state == aside_state::parked && !one.holds_key)
                by_number_.at(store_.rows().at(one.id).number)->out_of_order.insert(one.sink);
        }
    } else if (const auto* loads = std::get_if<engine::load_request>(&request)) {
        calling_->loaded = store_.load(*loads);
    } else {
        const auto reroute = [this](const fake_store::row& row) {
            std::vector<event::placement> places;
            if (!reader_->read(fake_store::stored(row), places)) places.clear();
            return places;
        };
        calling_->touched = store_.apply(*calling_->wish, wal_end_, reroute);
        redriven_keys_.erase(calling_->wish->id);
        for (const auto& [id, row] : store_.rows()) {
            const bool beside = row.redriven && !row.holds_key;
            if (row.sink && (beside || row.state == aside_state::dropped))
                by_number_.at(row.number)->out_of_order.insert(*row.sink);
        }
    }
}

void world::end_store_call() {
    land_store_call();
    store_call done = std::move(*calling_);
    calling_.reset();
    if (done.stale && !planted(bug::stale_answer_told)) return;
    if (!done.answered && !planted(bug::unknown_put_told_as_done)) {
        reached_.note(rare::store_call_unknown);
        tell("what became of a call of the store is unknown");
        return relay_->store_failed(now_);
    }
    if (std::holds_alternative<engine::put_request>(done.request)) {
        for (const fake_store::row& row : done.puts) {
            if (row.sink) sinks_[*row.sink].open.erase(row.number);
        }
        relay_->put_done(done.there);
    } else if (const auto* changes = std::get_if<engine::change_request>(&done.request)) {
        relay_->changes_done();
        for (const engine::aside_change& one : changes->rows)
            sinks_[one.sink].fed_over.erase(one.id);
    } else if (const auto* loads = std::get_if<engine::load_request>(&done.request)) {
        const std::size_t held_before = relay_->sink(0).held_lanes();
        std::map<std::uint64_t, std::size_t> in_memory;  // bytes, by number
        for (const intake::loaded_row& row : done.loaded) {
            if (row.left) reached_.note(rare::no_room_to_read_back);
            const auto sink = loads->lanes[row.lane].sink;
            const std::uint64_t number = store_.rows().at(row.id).number;
            in_memory.emplace(number, row.row.message_bytes);
            const auto& source = by_number_.at(number);
            if (source->stepped_over) sinks_[sink].fed_over.insert(row.id);  // it is refused
        }
        intake::feed_rows(*relay_, events_, *reader_, *loads, std::move(done.loaded));
        if (relay_->sink(0).held_lanes() < held_before) reached_.note(rare::key_live_again);
        for (engine::event_slot slot = 0; slot < events_.size(); ++slot) {
            if (!events_.at(slot).plan || slots_.contains(slot)) continue;
            const auto number = std::stoull(std::string{(*events_.at(slot).row.begin()).text});
            slots_.emplace(slot, slot_note{by_number_.at(number), in_memory.at(number), true});
        }
    } else {
        relay_->mark_done(done.touched);
        reached_.note(rare::mark_applied);
    }
    free_released();
    if (connected_) pump();
}

// ---- operators

void world::commit_mark(std::string action, std::string sink, std::vector<std::int64_t> ids) {
    auto row = std::make_shared<source_row>();
    row->number = next_number_++;
    row->mark = operator_mark{next_mark_++, std::move(action), std::move(sink), std::move(ids)};
    source_transaction one;
    note_redrive(*row->mark);
    one.rows.push_back(std::move(row));
    commit(std::move(one));
}

/// From here on rows of its keys may overtake it on their way to the store.
void world::note_redrive(const operator_mark& mark) {
    if (mark.action != "redrive") return;
    std::set<std::string>& keys = redriven_keys_[mark.id];
    for (const std::int64_t id : mark.ids) {
        const source_row& row = *by_number_.at(store_.rows().at(id).number);
        if (row.keyed()) keys.insert(row.key);
    }
}

void world::operate() {
    if (chance(0.15)) {
        const std::size_t sink = draw(0, sinks_.size() - 1);
        reached_.note(rare::sink_paused);
        return commit_mark(chance(0.4) ? "pause" : "resume", model_.sinks[sink].name, {});
    }
    if (!lost_has_route_ && chance(0.1)) return route_lost_rows();
    std::vector<std::int64_t> ids;
    for (const auto& [id, row] : store_.rows()) {
        const bool waits = row.state == aside_state::parked || row.state == aside_state::held;
        if (waits && chance(0.4)) ids.push_back(id);
    }
    if (!ids.empty()) commit_mark(chance(0.7) ? "redrive" : "drop", "", std::move(ids));
}

/// In the end somebody looks after every key that waits for it.
void world::lift_blocks() {
    commit_mark(chance(0.5) ? "drop" : "redrive", "", blockers());
}

/// A new sink map has a route for what none took; the relay starts with it.
void world::route_lost_rows() {
    lost_has_route_ = true;
    config::route made = base_routes_.back();
    made.where = {{"type", {"lost"}}};
    made.to = {0};
    made.on_event_error = config::error_policy::park;
    model_.routes.push_back(for_messages(made));
    model_.routes.push_back(std::move(made));
    for (const auto& [number, row] : by_number_) {
        if (row->lost && !row->stepped_over) find_route(*row);
    }
    chance(0.5) ? stop_cleanly() : relay_crash();
}

void world::find_route(source_row& row) const {
    row.sinks = {0};
    row.what = source_row::nature::good;
    row.policy = config::error_policy::park;
}

/// The newest mark of each sink counts when the relay starts.
void world::read_pauses() {
    intake::pause_marks newest;
    newest.newest.resize(sinks_.size());
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        bool paused = false;
        for (const source_transaction& unit : source_) {
            for (const row_pointer& row : unit.rows) {
                if (!row->mark || row->mark->sink != model_.sinks[i].name) continue;
                if (row->mark->id < newest.newest[i]) continue;
                newest.newest[i] = row->mark->id;
                paused = row->mark->action == "pause";
            }
        }
        relay_->set_paused(i, paused);
        sinks_[i].paused = paused;
        sinks_[i].pause_mark = newest.newest[i];
    }
    intake_->set_pauses(std::move(newest));
}

/// While a paused sink keeps a limit full, the stream brings no mark that would resume it.
void world::look_for_pauses() {
    const bool any_paused = std::any_of(sinks_.begin(), sinks_.end(),
                                        [](const fake_sink& sink) { return sink.paused; });
    if (!any_paused || relay_->wants_rows()) return;
    reached_.note(rare::pause_looked_up);
    read_pauses();
    pump();
}

/// Something of the store is still to be sent, or waits for an operator and holds its key.
bool world::any_waiting() const {
    return std::any_of(store_.rows().begin(), store_.rows().end(), [](const auto& entry) {
        return entry.second.state == aside_state::held || holds_its_key(entry.second);
    });
}

std::vector<engine::aside_id> world::blockers() const {
    std::vector<engine::aside_id> found;
    for (const auto& [id, row] : store_.rows()) {
        if (row.state == aside_state::parked && holds_its_key(row)) found.push_back(id);
    }
    return found;
}

}  // namespace walrelay::simulation
