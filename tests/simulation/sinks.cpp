// Attempts: what is sent, how it ends, and what lands late.
#include <algorithm>

#include "simulation/answers.hpp"
#include "simulation/world.hpp"
#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::simulation {

using std::chrono::milliseconds;
using what = engine::outcome_class;

namespace {

/// Of each sink, to be told once more: more than are on the wire at once.
constexpr std::size_t outcomes_kept = 40;

/// More than there are ways to say the same.
constexpr std::uint64_t answers_drawn = 1000;

}  // namespace

/// `time_alone`: nothing has happened since the last time, except that time has passed.
void world::pump(bool time_alone) {
    if (stopping_ && !stopping_->relay_sends) return;
    for (std::size_t index = 0; index < sinks_.size(); ++index)
        pump_sink(index, time_alone);
    free_released();
}

void world::pump_sink(std::size_t index, bool time_alone) {
    fake_sink& sink = sinks_[index];
    const bool was_full = sink.full;
    sink.full = false;
    relay_->set_room(index, true);  // as far as is known
    while (const auto next = relay_->next(index, now_)) {
        if (halted_by_sink()) fail("a record was sent after the halt");
        if (sink.paused) fail("a record was sent to a sink that is paused");
        if (relay_->halted()) reached_.note(rare::sent_what_stands_before_a_halt);
        if (time_alone && !was_full) {
            if (now_ < sink.quiet_until)
                fail("row " + std::to_string(kept(next->event).row->number) +
                     " was due, and no wake-up for it");
            reached_.note(rare::wake_up_alone);
        }
        if (sink.wire.size() >= sink.capacity || (faults_ && chance(full_rate_))) {
            reached_.note(rare::sink_full);
            if (relay_->delivery_at(next->token.slot).target_probe)
                reached_.note(rare::probe_sent_back);
            relay_->sent_back(next->token);
            sink.full = true;
            break;
        }
        send(index, *next);
    }
    sink.quiet_until = relay_->sink(index).wake_at();
    if (relay_->sink(index).stalled())
        reached_.note(sink.down ? rare::sink_stalled : rare::target_stalled);
    check_quiet(index);
}

void world::send(std::size_t index, const engine::engine::attempt& attempt) {
    fake_sink& sink = sinks_[index];
    const row_pointer row = kept(attempt.event).row;
    const engine::aside_id stored = relay_->delivery_at(attempt.token.slot).stored;
    if (stored != 0) {
        check_fed_send(index, store_.rows().at(stored), *row);
        reached_.note(rare::sent_from_the_store);
    } else {
        const auto found = sink.open.find(row->number);
        if (found == sink.open.end()) fail("a record was sent that is resolved");
        check_send(index, found->second, attempt);
        found->second.now = open_delivery::state::on_wire;
        ++found->second.sends;
    }
    check_record(index, attempt, *row);
    if (!sink.landed[row->number].empty()) reached_.note(rare::sent_again);
    tell("  ", *row, stored != 0 ? " of the store" : "", " is sent to ", model_.sinks[index].name);
    for (wire_attempt& other : sink.wire)
        other.alone = false;
    const bool alone = sink.wire.empty();
    sink.wire.push_back({attempt.token, row, false, alone, stored});
    sink.most_at_once = std::max(sink.most_at_once, sink.wire.size());
}

bool world::any_on_wire() const {
    return std::any_of(sinks_.begin(), sinks_.end(),
                       [](const fake_sink& sink) { return !sink.wire.empty(); });
}

// ---- outcomes

void world::end_attempt() {
    const std::size_t first = draw(0, sinks_.size() - 1);
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        const std::size_t index = (first + i) % sinks_.size();
        if (sinks_[index].wire.empty()) continue;
        return end_attempt_of(index);
    }
}

/// Of one key, attempts end in the order of sending, as in a partition.
void world::end_attempt_of(std::size_t index) {
    fake_sink& sink = sinks_[index];
    const std::size_t pick = draw(0, sink.wire.size() - 1);
    const source_row& picked = *sink.wire[pick].row;
    const auto found =
        std::find_if(sink.wire.begin(), sink.wire.begin() + static_cast<std::ptrdiff_t>(pick),
                     [&](const wire_attempt& other) {
                         return other.row->keyed() && other.row->key == picked.key;
                     });
    const wire_attempt ended = *found;
    sink.wire.erase(found);
    sink.over.push_back(ended.token);
    if (sink.over.size() > outcomes_kept) sink.over.pop_front();

    bool landed = true;
    const engine::outcome meant = draw_outcome(index, ended, landed);
    const engine::outcome seen = as_read(model_.sinks[index], meant, draw(0, answers_drawn));
    if (landed) sink.landed[ended.row->number].push_back({++arrivals_, process_, false});
    tell("  ", *ended.row, ended.orphaned ? " of the lost stream" : "", ": ",
         model_.sinks[index].name, landed ? " has it, and says " : " says ",
         engine::class_name(meant.what), seen.reason.empty() ? "" : ", ", seen.reason);
    if (ended.orphaned) {
        relay_->attempt_ended(ended.token, seen, now_);
        return free_released();
    }
    const bool probe = relay_->delivery_at(ended.token.slot).target_probe;
    const bool stalled = !sink.down && relay_->sink(index).stalled();
    if (meant.what == what::delivered) {
        // A redriven row goes beside its key: its success is that of another one.
        const bool beside = ended.stored != 0 && !store_.rows().at(ended.stored).holds_key;
        sink.succeeded_at[beside ? "redriven" : ended.row->key] = now_;
        sink.parked_in_row = 0;
        sink.failed_targets.erase(ended.row->target);
    }
    if (ended.stored != 0) {
        account_of_fed(index, ended, meant, seen);
    } else {
        const std::uint32_t refusals =
            sink.open.at(ended.row->number).refusals + (meant.what == what::event ? 1 : 0);
        account(index, ended, meant);
        relay_->attempt_ended(ended.token, seen, now_);
        account_of_departure(index, ended);
        check_halt(ended, meant, refusals);
    }
    if (planted(bug::outcome_told_twice)) relay_->attempt_ended(ended.token, seen, now_);
    if (meant.what == what::delivered) {
        check_opened(index, *ended.row);
        if (stalled && !probe && !relay_->sink(index).stalled())
            reached_.note(rare::late_success_opened_target);
    }
    note_halt();
    free_released();
}

/// What the sink means to say.
engine::outcome world::draw_outcome(std::size_t index, const wire_attempt& ended, bool& landed) {
    fake_sink& sink = sinks_[index];
    source_row& row = *ended.row;
    landed = false;
    if (sink.down) return {chance(0.3) ? what::unknown : what::endpoint, "down", {}, false};
    if (sink.target_down[row.target]) return {what::target, "no such topic", {}, false};
    const bool kafka = std::holds_alternative<config::kafka_sink>(model_.sinks[index].kind);
    if (sink.refuses_all) return {kafka ? what::batch : what::event, "refused", {}, false};

    const bool to_blame = !row.sinks.empty() && row.sinks.front() == index && !row.stepped_over;
    if (to_blame && row.what == source_row::nature::final)
        return {what::event_final, "too large", {}, false};
    if (to_blame && row.what == source_row::nature::refused && row.refusals > 0) {
        if (--row.refusals == 0) reached_.note(rare::refusal_ended);
        return {what::event, "bad request", {}, false};
    }
    if (to_blame && row.what == source_row::nature::batch)
        return {what::batch, "batch refused", {}, false};
    if (sink.stuck.contains(row.key)) return {what::transient, "failed", {}, false};
    if (!faults_ || !fault(fault_rate_)) {
        landed = true;
        return {what::delivered, {}, {}, false};
    }
    if (chance(0.3)) {
        landed = true;
        return {what::transient, "reply lost", {}, false};
    }
    // Never when sent alone: then the record itself were to blame.
    if (chance(0.2) && kafka && !ended.orphaned &&
        !relay_->delivery_at(ended.token.slot).sent_alone) {
        reached_.note(rare::batch_refused);
        return {what::batch, "batch refused", {}, false};
    }
    if (chance(0.15)) return {what::target, "no such topic, on this one broker", {}, false};
    engine::outcome busy{what::transient, "busy", {}, false};
    if (chance(0.2)) busy.retry_after = milliseconds{draw(0, 3000)};
    return busy;
}

/// The world's own account of what an outcome means for what the stream brought.
void world::account(std::size_t index, const wire_attempt& ended, const engine::outcome& meant) {
    fake_sink& sink = sinks_[index];
    const auto own = sink.open.find(ended.row->number);
    open_delivery& one = own->second;
    one.now = open_delivery::state::waits_again;
    if (meant.what != what::delivered) {
        one.failed = true;
        if (meant.what == what::event || meant.what == what::event_final) ++one.refusals;
        one.blamed = meant.what == what::event_final ||
                     (meant.what == what::batch && ended.alone) ||
                     (meant.what == what::event && one.refusals >= 3);
        one.transient = meant.what == what::transient;
        if (meant.what == what::target) sink.failed_targets.insert(ended.row->target);
        const bool may_wait_long = sink.failed_targets.contains(ended.row->target);
        if (meant.what == what::batch) one.suspect = !may_wait_long;
        if (meant.what != what::target) return;
        for (auto& [number, other] : sink.open) {
            if (other.row->target == ended.row->target) other.suspect = false;
        }
        return;
    }
    // A success behind an older record that failed is sent again, or that one would be the last.
    const bool behind_failed = std::any_of(sink.open.begin(), own, [&](const auto& older) {
        return older.second.now == open_delivery::state::waits_again && ended.row->keyed() &&
               older.second.row->key == ended.row->key;
    });
    if (!behind_failed) sink.open.erase(own);
}

/// Whether it has left for the store: parked, or held with its key.
void world::account_of_departure(std::size_t index, const wire_attempt& ended) {
    fake_sink& sink = sinks_[index];
    const auto own = sink.open.find(ended.row->number);
    if (own == sink.open.end()) return;
    const engine::delivery& view = relay_->delivery_at(ended.token.slot);
    if (view.now != engine::delivery::state::leaving) return;
    open_delivery& one = own->second;
    one.now = open_delivery::state::leaving;
    one.suspect = false;
    const engine::retry_limits& limits = options_.retries;
    const bool spent = one.transient && (limits.max_attempts > 0 || limits.max_age.count() > 0);
    one.gave_up = one.blamed || spent;
    const bool parked_alone = ended.row->policy == config::error_policy::park &&
                              !relay_->sink(index).held(lane_of(ended.row->key));
    one.passable = !ended.row->keyed() || parked_alone;
    // Of the others that are spent only the engine knows whether they were parked or held.
    if (one.blamed || (spent && ended.row->keyed() && parked_alone)) count_parked(sink);
    if (one.passable) ended.row->out_of_order.insert(index);
}

void world::count_parked(fake_sink& sink) {
    if (++sink.parked_in_row == 20) reached_.note(rare::all_refused);
}

void world::account_of_fed(std::size_t index, const wire_attempt& ended,
                           const engine::outcome& meant, const engine::outcome& seen) {
    const std::size_t changes = relay_->store().changes();
    relay_->attempt_ended(ended.token, seen, now_);
    const bool over = relay_->store().changes() > changes;
    if (meant.what == what::delivered && !over) reached_.note(rare::sent_before_an_older_one);
    if (over) sinks_[index].fed_over.insert(ended.stored);
    if (over && meant.what != what::delivered) {
        const engine::retry_limits& limits = options_.retries;
        const bool spent = meant.what == what::transient &&
                           (limits.max_attempts > 0 || limits.max_age.count() > 0);
        const bool blamed = meant.what == what::event_final || meant.what == what::event ||
                            (meant.what == what::batch && ended.alone);
        if (!spent && !blamed) fail("I13: a row was parked that nobody refused");
        reached_.note(rare::fed_row_parked);
        count_parked(sinks_[index]);
    }
}

/// A sink that breaks its word: it tells an outcome once more, when the place of that attempt is
/// another one's. The relay ends at that rather than believe it (exit 70).
void world::tell_late_outcome() {
    for (fake_sink& sink : sinks_) {
        for (const wire_attempt& one : sink.wire) {
            const auto old = std::find_if(
                sink.over.begin(), sink.over.end(), [&](const engine::attempt_token& over) {
                    return over.slot == one.token.slot && over.serial != one.token.serial;
                });
            if (old == sink.over.end()) continue;
            tell("an old outcome is told again while ", *one.row, " is on the wire");
            reached_.note(rare::late_outcome);
            try {
                relay_->attempt_ended(*old, {what::delivered, {}, {}, false}, now_);
            } catch (const engine::invariant_violation&) {
                return relay_crash();
            }
            return free_released();
        }
    }
}

// ---- beside the relay

/// An attempt of a process that is dead reaches its sink.
void world::land_late() {
    for (fake_sink& sink : sinks_) {
        if (sink.late.empty()) continue;
        const std::size_t pick = draw(0, sink.late.size() - 1);
        const fake_sink::late_attempt one = sink.late[pick];
        sink.late.erase(sink.late.begin() + static_cast<std::ptrdiff_t>(pick));
        std::vector<arrival>& all = sink.landed[one.row->number];
        reached_.note(rare::late_landing);
        tell("  ", *one.row, " of a dead relay lands");
        if (!all.empty() && all.back().process > one.process)
            reached_.note(rare::late_landing_after_new_process);
        all.push_back({++arrivals_, one.process, true});
        return;
    }
}

void world::change_weather() {
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        fake_sink& sink = sinks_[index];
        const auto begins = [&](double probability, const auto&... parts) {
            if (!faults_ || !fault(probability)) return false;
            tell(model_.sinks[index].name, parts...);
            return true;
        };
        sink.down = begins(fault_rate_ / 4, " is down");
        const bool still = faults_ && sink.refuses_all && chance(0.9);
        sink.refuses_all = begins(fault_rate_ / 10, " refuses all") || still;
        for (std::size_t i = 0; i < sink.target_down.size(); ++i)
            sink.target_down[i] = begins(fault_rate_ / 3, " has no target ", i);
        sink.stuck.clear();
        for (std::uint32_t key = 0; faults_ && key < keys_; ++key) {
            if (begins(stuck_rate_, " fails for key k", key))
                sink.stuck.insert("k" + std::to_string(key));
        }
        if (begins(stuck_rate_ / 4, " fails for rows without a key")) sink.stuck.insert("");
    }
}

}  // namespace walrelay::simulation
