// What happens when.
#include "simulation/world.hpp"

#include <algorithm>

namespace walrelay::simulation {

using std::chrono::milliseconds;

void world::run() {
    tell_shape();
    while (steps_ < fault_steps_) {
        next_step();
        if (plot_.steps_left_out.contains(steps_)) continue;
        break_things();
        check_step();
    }
    faults_ = false;
    tell("all is healthy from here on");
    change_weather();
    resume_sinks();
    heal();
    finish();
    check_end();
}

/// Those that an operator has paused.
void world::resume_sinks() {
    for (const config::sink& sink : model_.sinks) {
        const bool paused =
            std::any_of(by_number_.begin(), by_number_.end(), [&](const auto& numbered) {
                const auto& mark = numbered.second->mark;
                return mark && mark->sink == sink.name;
            });
        if (paused) commit_mark("resume", sink.name, {});
    }
}

void world::next_step() {
    ++steps_;
    random_ = {seed_, random_numbers::purpose::step, steps_};
    faults_of_step_ = 0;
}

void world::break_things() {
    if (connected_ && chance(0.1)) {
        wake();
    } else {
        now_ += milliseconds{draw(0, chance(0.02) ? 4000 : 40)};
        if (connected_ && chance(0.3)) pump(true);
    }
    if (chance(0.02)) change_weather();
    if (chance(0.05)) durable_confirmed_ = confirmed_;  // a checkpoint
    if (chance(commit_rate_)) commit_one();
    if (chance(0.05)) land_late();
    if (fault(operator_rate_)) operate();
    if (connected_ && chance(0.05)) look_for_pauses();
    if (halted_at_ && chance(0.02)) return step_over();
    if (fault(break_rate_)) return break_something();
    act();
    if (connected_) pump();
}

void world::break_something() {
    switch (draw(0, 8)) {
        case 0:
        case 1:
            return relay_crash();
        case 2:
            return stop_cleanly();
        case 3:
            return server_crash();
        case 4:
            return failover();
        case 5:
            return stop_server();
        case 6:
            return tell_late_outcome();
        default:
            return disconnect();
    }
}

void world::act() {
    if (!connected_) {
        end_attempt();
        if (writing_ && chance(0.2)) end_record();
        if (calling_ && chance(0.2)) end_store_call();
        if (chance(0.3)) connect();
        return;
    }
    switch (draw(0, 8)) {
        case 0:
        case 1:
            return receive();
        case 2:
            return send_keepalive();
        case 3:
        case 4:
            if (chance(slow_rate_)) return;
            for (std::uint64_t burst = draw(1, 3); burst > 0; --burst)
                end_attempt();
            return;
        case 5:
            if (writing_ && !chance(0.2)) return end_record();
            return write_record(chance(0.1));
        case 6:
        case 7:
            return act_store();
        default:
            return send_status();
    }
}

void world::act_store() {
    if (!calling_) return ask_store();
    if (chance(0.3)) land_store_call();
    if (chance(0.7)) end_store_call();
}

/// All is healthy from now on. Time moves only to where the engine wants to be woken.
void world::heal(bool (world::*until)()) {
    const std::uint64_t limit = steps_ + 30'000;
    while (!(this->*until)()) {
        next_step();
        if (steps_ > limit) fail("I7: not everything was delivered and acknowledged in the end");
        if ((connected_ && chance(0.1)) || !act_without_time()) wake();
        if (connected_) pump();
        check_step();
    }
}

/// False: nothing happens until time has passed.
bool world::act_without_time() {
    // A row that was never fit for a sink holds nothing up that stands before it.
    const bool nothing_before = halted_by_sink() || relay_->unresolved_events() == 1;
    if (halted_at_ && !any_on_wire() && nothing_before && !calling_) return step_over(), true;
    // Nothing but rows that are refused is left, so nothing shows that the sink works: somebody
    // restarts the relay, and the next of them are set aside.
    const bool refused = std::any_of(sinks_.begin(), sinks_.end(), [](const fake_sink& sink) {
        return sink.parked_in_row >= 20;
    });
    if (refused && chance(0.01)) return relay_crash(), true;
    if (!connected_) {
        if (any_on_wire()) return end_attempt(), true;
        if (calling_) return end_store_call(), true;
        return connect(), true;
    }
    if (chance(0.02)) return send_keepalive(), true;
    look_for_pauses();

    std::vector<void (world::*)()> possible;
    const bool reads = can_receive();
    if (reads) possible.push_back(&world::receive);
    if (any_on_wire() && !(ends_wait_ && reads)) possible.push_back(&world::end_attempt);
    if (writing_) possible.push_back(&world::end_record);
    if (calling_) possible.push_back(&world::end_store_call);
    if (transactions_left_ > 0) possible.push_back(&world::commit_one);
    for (const fake_sink& sink : sinks_) {
        if (!sink.late.empty()) possible.push_back(&world::land_late);
    }
    if (!calling_) {
        ask_store();
        if (calling_) return true;
    }
    if (possible.empty()) {
        const bool all_read = next_transaction_ == source_.size() && wire_.empty();
        if (blockers().empty() || !all_read) return false;
        return lift_blocks(), true;
    }
    (this->*possible[draw(0, possible.size() - 1)])();
    return true;
}

/// To the time that the engine named, and there everything that time can bring about.
void world::wake() {
    const time_point at = relay_->wake_at();
    if (at == never) fail("I7: the engine waits, and doesn't want to be woken");
    now_ = std::max(now_, at);
    look_again();
}

void world::look_again() {
    pump(true);
    if (!writing_) write_record();
    if (!calling_) ask_store();
    send_status();
    const bool full =
        std::any_of(sinks_.begin(), sinks_.end(), [](const fake_sink& sink) { return sink.full; });
    if (!full && relay_->wake_at() <= now_)
        fail("the engine wants to be woken for something that it doesn't do");
}

bool world::delivered() {
    const bool all_read = next_transaction_ == source_.size() && !next_row_ && wire_.empty() &&
                          transactions_left_ == 0;
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        if (relay_->sink(i).held_lanes() > 0) return false;
    }
    return connected_ && !halted_at_ && all_read && !read_open_ && relay_->idle() &&
           !any_waiting() && !calling_ && relay_->store().empty();
}

bool world::settled() {
    return delivered() && confirmed_ >= last_event_;
}

/// Rows that show whether the engine has left nothing behind: each target answers, so nothing may
/// stall any more, and what can be in flight together must be.
void world::finish() {
    const auto append = [&](std::size_t sink, std::initializer_list<std::uint32_t> keys) {
        source_transaction one;
        for (const std::uint32_t key : keys) {
            auto row = std::make_shared<source_row>();
            row->number = next_number_++;
            row->key = "k" + std::to_string(key);
            row->target = key % targets_;
            row->padding = "end";
            row->route = sink;
            row->sinks = base_routes_[sink].to;
            row->policy = base_routes_[sink].on_event_error;
            one.rows.push_back(std::move(row));
        }
        commit(std::move(one));
    };
    for (std::size_t sink = 0; sink < sinks_.size(); ++sink)
        append(sink, {0, 1, 2});  // each of at most three targets
    heal(&world::delivered);
    // What is safe and not recorded must be recorded all the same.
    if (chance(0.3)) chance(0.5) ? stop_server() : disconnect();
    heal();
    check_clean();
    ends_wait_ = true;
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        fake_sink& sink = sinks_[index];
        sink.most_at_once = 0;
        if (sink.depth == engine::lane_depth::serial) {
            append(index, {0, 1, 2});
        } else {
            append(index, {0, 0, 0});
        }
        heal();
        if (sink.most_at_once < std::min<std::size_t>(2, sink.capacity))
            fail("a healthy sink gets one record at a time");
    }
    check_clean();
    for (fake_sink& sink : sinks_) {
        while (!sink.late.empty())
            land_late();
    }
}

}  // namespace walrelay::simulation
