#include "simulation/world.hpp"

#include <algorithm>

namespace walrelay::simulation {

using std::chrono::milliseconds;

world::world(std::uint64_t seed) : seed_{seed}, random_{seed} {
    now_ = time_point{std::chrono::hours{1}};
    fault_rate_ = static_cast<double>(draw(0, 40)) / 100;
    break_rate_ = static_cast<double>(draw(0, 8)) / 1000;
    full_rate_ = chance(0.5) ? 0 : static_cast<double>(draw(1, 40)) / 100;
    slow_rate_ = static_cast<double>(draw(0, 90)) / 100;
    commit_rate_ = static_cast<double>(draw(2, 20)) / 100;
    bad_row_rate_ = chance(0.4) ? 0.02 : 0;
    fault_steps_ = draw(200, 2500);
    draw_sinks();
    draw_transactions(draw(3, 120), 100);
    wal_end_ = lsn{100};
    new_relay();
}

bool world::chance(double probability) {
    return std::uniform_real_distribution<>{0, 1}(random_) < probability;
}

std::uint64_t world::draw(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>{low, high}(random_);
}

void world::fail(const std::string& what) const {
    throw broken_promise{"seed " + std::to_string(seed_) + ", step " + std::to_string(steps_) +
                         ": " + what};
}

// ---- making the world

void world::draw_sinks() {
    sinks_.resize(draw(1, 2));
    for (fake_sink& sink : sinks_) {
        sink.depth = chance(0.5) ? engine::lane_depth::serial : engine::lane_depth::pipelined;
        sink.capacity = sink.depth == engine::lane_depth::serial ? draw(1, 4) : draw(2, 30);
        sink.target_down.resize(draw(1, 3));
        options_.sinks.push_back(sink.depth);
    }
    options_.in_flight_events = draw(2, 40);
    options_.in_flight_bytes = draw(200, 4000);
    options_.replay_events = draw(2, 60);
    keys_ = static_cast<std::uint32_t>(draw(1, 5));
}

/// Appends them to the source from position `at` on.
void world::draw_transactions(std::uint64_t count, std::uint64_t at) {
    for (; count > 0; --count) {
        source_transaction one;
        one.commit = lsn{at + draw(1, 50)};
        one.end = lsn{one.commit.value + draw(1, 9)};
        at = one.end.value + (chance(0.1) ? 300'000 : draw(0, 5));
        const std::uint64_t rows = chance(0.1) ? 0 : draw(1, chance(0.1) ? 60 : 6);
        for (std::uint64_t i = 0; i < rows; ++i)
            one.rows.push_back(draw_row());
        if (rows > 0) last_event_ = one.end;
        source_.push_back(std::move(one));
    }
}

row_pointer world::draw_row() {
    auto row = std::make_shared<source_row>();
    row->number = next_number_++;
    row->key = static_cast<std::uint32_t>(draw(0, keys_ - 1));
    row->keyed = !chance(0.1);
    row->bytes = draw(20, 150);
    const std::uint64_t route = draw(0, sinks_.size() + 1);
    for (std::size_t sink = 0; sink < sinks_.size(); ++sink) {
        if (route >= sinks_.size() || route == sink) row->sinks.push_back(sink);
    }
    if (chance(0.05)) row->sinks.clear();  // to: none
    if (row->sinks.empty() || !chance(bad_row_rate_)) return row;

    using nature = source_row::nature;
    row->what = static_cast<nature>(draw(1, 4));
    if (row->what == nature::refused) row->refusals = chance(0.5) ? draw(1, 2) : UINT64_MAX;
    if (row->what == nature::batch &&
        sinks_[row->sinks.front()].depth == engine::lane_depth::serial) {
        row->what = nature::final;
    }
    if (row->what == nature::unroutable) row->sinks.clear();
    return row;
}

// ---- what happens when

void world::run() {
    while (steps_ < fault_steps_) {
        ++steps_;
        break_things();
        check_step();
    }
    faults_ = false;
    change_weather();
    heal();
    finish();
    check_end();
}

void world::break_things() {
    if (connected_ && chance(0.1)) {
        wake();
    } else {
        now_ += milliseconds{draw(0, 40)};
        if (connected_ && chance(0.3)) pump(true);
    }
    if (chance(0.02)) change_weather();
    if (chance(0.05)) durable_confirmed_ = confirmed_;  // a checkpoint
    if (chance(commit_rate_)) commit_one();
    if (chance(0.05)) land_late();
    if (halted_at_ && chance(0.02)) return step_over();
    if (chance(break_rate_)) {
        switch (draw(0, 6)) {
            case 0:
            case 1:
                return relay_crash();
            case 2:
                return stop_cleanly();
            case 3:
                return server_crash();
            case 4:
                return failover();
            default:
                return disconnect();
        }
    }
    act();
    if (connected_) pump();
}

void world::act() {
    if (!connected_) {
        end_attempt();
        if (writing_ && chance(0.2)) end_record();
        if (chance(0.3)) connect();
        return;
    }
    switch (draw(0, 6)) {
        case 0:
        case 1:
            return receive();
        case 2:
            return receive_keepalive();
        case 3:
        case 4:
            if (chance(slow_rate_)) return;
            for (std::uint64_t burst = draw(1, 3); burst > 0; --burst)
                end_attempt();
            return;
        case 5:
            if (writing_ && !chance(0.2)) return end_record();
            return write_record(chance(0.1));
        default:
            return send_status();
    }
}

/// All is healthy from now on. Time moves only to where the engine wants to be woken.
void world::heal(bool (world::*until)()) {
    const std::uint64_t limit = steps_ + 20'000;
    while (!(this->*until)()) {
        if (++steps_ > limit) fail("I7: not everything was delivered and acknowledged in the end");
        if ((connected_ && chance(0.1)) || !act_without_time()) wake();
        if (connected_) pump();
        check_step();
    }
}

/// False: nothing happens until time has passed.
bool world::act_without_time() {
    // A row that was never fit for a sink holds nothing up that stands before it.
    const bool nothing_before = halted_by_sink() || held_.size() == 1;
    if (halted_at_ && !any_on_wire() && nothing_before) return step_over(), true;
    if (!connected_) return any_on_wire() ? end_attempt() : connect(), true;
    if (chance(0.02)) return receive_keepalive(), true;

    std::vector<void (world::*)()> possible;
    const bool reads = can_receive();
    if (reads) possible.push_back(&world::receive);
    if (any_on_wire() && !(ends_wait_ && reads)) possible.push_back(&world::end_attempt);
    if (writing_) possible.push_back(&world::end_record);
    if (!source_.back().visible) possible.push_back(&world::commit_one);
    for (const fake_sink& sink : sinks_) {
        if (!sink.late.empty()) possible.push_back(&world::land_late);
    }
    if (possible.empty()) return false;
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
    send_status();
    const bool full =
        std::any_of(sinks_.begin(), sinks_.end(), [](const fake_sink& sink) { return sink.full; });
    if (!full && relay_->wake_at() <= now_)
        fail("the engine wants to be woken for something that it doesn't do");
}

bool world::delivered() {
    return connected_ && !halted_at_ && !next_row_ && next_transaction_ == source_.size() &&
           relay_->idle();
}

bool world::settled() {
    return delivered() && confirmed_ >= last_event_;
}

/// Rows that show whether the engine has left nothing behind: each target answers, so nothing may
/// stall any more, and what can be in flight together must be.
void world::finish() {
    const auto append = [&](std::size_t sink, std::initializer_list<std::uint32_t> keys) {
        source_transaction one;
        one.commit = lsn{std::max(wal_end_, source_.back().end).value + 10};
        one.end = last_event_ = lsn{one.commit.value + 5};
        for (const std::uint32_t key : keys) {
            const row_number number = next_number_++;
            one.rows.push_back(std::make_shared<source_row>(
                source_row{number, key, true, 60, {sink}, source_row::nature::good, 0, false}));
        }
        source_.push_back(std::move(one));
    };
    for (std::size_t sink = 0; sink < sinks_.size(); ++sink)
        append(sink, {0, 1, 2});  // each of at most three targets
    heal(&world::delivered);
    if (chance(0.3)) disconnect();  // what is safe and not recorded must be recorded all the same
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
