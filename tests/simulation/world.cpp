#include "simulation/world.hpp"

#include <algorithm>

namespace walrelay::simulation {

using std::chrono::milliseconds;

world::world(std::uint64_t seed) : seed_{seed}, random_{seed} {
    now_ = time_point{std::chrono::hours{1}};
    fault_rate_ = static_cast<double>(draw(0, 40)) / 100;
    draw_sinks();
    draw_source();
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

void world::draw_source() {
    std::uint64_t at = 100;
    const std::uint64_t transactions = draw(3, 25);
    for (std::uint64_t i = 0; i < transactions; ++i) {
        source_transaction one;
        one.commit = lsn{at + draw(1, 50)};
        one.end = lsn{one.commit.value + draw(1, 9)};
        at = one.end.value + (chance(0.1) ? 300'000 : draw(0, 5));
        const std::uint64_t rows = chance(0.1) ? 0 : draw(1, chance(0.1) ? 60 : 6);
        for (std::uint64_t j = 0; j < rows; ++j) {
            source_row row;
            row.key = static_cast<std::uint32_t>(draw(0, keys_ - 1));
            row.keyed = !chance(0.1);
            const std::uint64_t route = draw(0, sinks_.size() + 1);
            for (std::size_t sink = 0; sink < sinks_.size(); ++sink) {
                if (route >= sinks_.size() || route == sink) row.sinks.push_back(sink);
            }
            if (chance(0.05)) row.sinks.clear();  // to: none
            one.rows.push_back(std::move(row));
        }
        if (!one.rows.empty()) last_event_ = one.end;
        source_.push_back(std::move(one));
    }
    wal_end_ = lsn{100};
}

void world::new_relay() {
    options_.seed = random_();
    relay_.emplace(options_);
    connected_ = same_history_ = false;
    held_.clear();
    writing_.reset();
    for (fake_sink& sink : sinks_)
        sink.wire.clear();
}

// ---- steps

void world::run() {
    while (true) {
        ++steps_;
        if (faults_ && steps_ > 3000) {
            faults_ = false;
            change_weather();
        }
        if (steps_ > 400'000) fail("I7: not everything was delivered and acknowledged in the end");
        step();
        if (!faults_ && all_delivered() && confirmed_ >= last_event_) break;
    }
    check_end();
}

void world::step() {
    now_ += milliseconds{draw(0, faults_ ? 40 : 300)};
    if (faults_) {
        if (chance(0.002)) return relay_crash();
        if (chance(0.001)) return server_crash();
        if (chance(0.002)) return disconnect();
        if (chance(0.02)) change_weather();
    }
    if (chance(0.05)) durable_confirmed_ = confirmed_;  // a checkpoint
    if (chance(0.2)) commit_one();
    if (!connected_) {
        if (chance(0.3)) connect();
        for (fake_sink& sink : sinks_) {
            if (!sink.wire.empty()) end_attempt();
        }
        return;
    }
    switch (draw(0, 6)) {
        case 0:
        case 1:
            receive();
            break;
        case 2:
            receive_keepalive();
            break;
        case 3:
        case 4:
            end_attempt();
            break;
        case 5:
            writing_ ? end_record() : write_record();
            break;
        default:
            send_status();
            break;
    }
    pump();
    check_limits();
    check_wire();
}

void world::commit_one() {
    for (source_transaction& one : source_) {
        if (one.visible) continue;
        one.visible = true;
        wal_end_ = one.end;
        return;
    }
    if (chance(0.1)) wal_end_.value += draw(1, 400'000);  // what other tables write
}

void world::receive() {
    for (std::uint64_t burst = draw(1, 8); burst > 0; --burst) {
        if (!relay_->wants_rows()) {
            ++reached_.limit_full;
            return;
        }
        if (next_transaction_ >= source_.size() || !source_[next_transaction_].visible) return;
        const source_transaction& one = source_[next_transaction_];
        if (!next_row_) {
            suppressed_ = !relay_->begin(one.commit, 1);
            if (suppressed_) ++reached_.unit_resolved_before;
            next_row_ = 0;
        } else if (*next_row_ < one.rows.size()) {
            const source_row& row = one.rows[*next_row_];
            if (suppressed_) {
                ++*next_row_;
                continue;
            }
            std::vector<event::placement> places;
            for (const std::size_t sink : row.sinks) {
                const std::uint64_t target = row.key % sinks_[sink].target_down.size();
                places.push_back({sink, row.key, (sink << 8) | target, row.keyed});
            }
            if (places.size() > 1) ++reached_.event_for_two_sinks;
            if (places.empty()) {
                relay_->add_discarded();
            } else {
                const engine::event_slot slot = relay_->add(100, places);
                if (!held_.emplace(slot, row_id{next_transaction_, *next_row_}).second) {
                    fail("a slot was given out twice");
                }
            }
            ++*next_row_;
        } else {
            relay_->commit(one.end);
            next_row_.reset();
            ++next_transaction_;
        }
        pump();
    }
}

void world::receive_keepalive() {
    // The server's promise: walEnd is never above the commit of a transaction that is not sent
    // whole.
    lsn end = wal_end_;
    if (next_transaction_ < source_.size() && source_[next_transaction_].visible) {
        end = source_[next_transaction_].commit;
    }
    if (next_row_) ++reached_.keepalive_inside_transaction;
    const lsn before = relay_->units().safe();
    relay_->keepalive(end, chance(0.3), now_);
    if (relay_->units().safe() > before) ++reached_.keepalive_adopted;
}

void world::pump() {
    for (std::size_t index = 0; index < sinks_.size(); ++index) {
        fake_sink& sink = sinks_[index];
        while (const auto next = relay_->next(index, now_)) {
            if (sink.wire.size() >= sink.capacity || (faults_ && chance(fault_rate_ / 10))) {
                ++reached_.sink_full;
                relay_->sent_back(next->token);
                break;
            }
            const row_id row = held_.at(next->event);
            const source_row& content = source_[row.transaction].rows[row.row];
            const auto wait = milliseconds{draw(0, 200)};
            if (!sink.applied[row].empty()) ++reached_.successor_sent_again;
            sink.wire.push_back({next->token, row, content.key, content.keyed, now_ + wait});
        }
        if (relay_->sink(index).stalled()) {
            ++(sink.down ? reached_.sink_stalled : reached_.target_stalled);
        }
    }
    free_released();
}

void world::free_released() {
    for (const engine::event_slot slot : relay_->released()) {
        if (held_.erase(slot) != 1) fail("an event was released twice");
    }
    relay_->released().clear();
}

/// One attempt of a random sink ends. Of one key, attempts end in the order of sending, as in a
/// partition.
void world::end_attempt() {
    const std::size_t index = draw(0, sinks_.size() - 1);
    fake_sink& sink = sinks_[index];
    if (sink.wire.empty()) return;
    const std::size_t pick = draw(0, sink.wire.size() - 1);
    const auto same_key = [&](const wire_attempt& other) {
        return other.keyed && sink.wire[pick].keyed && other.key == sink.wire[pick].key;
    };
    auto found = std::find_if(sink.wire.begin(),
                              sink.wire.begin() + static_cast<std::ptrdiff_t>(pick), same_key);
    const wire_attempt ended = *found;
    sink.wire.erase(found);

    using what = engine::outcome_class;
    engine::outcome seen{what::delivered, {}, {}, false};
    bool applied = true;
    const bool bad = faults_ && chance(fault_rate_);
    if (sink.down) {
        seen = {chance(0.3) ? what::unknown : what::endpoint, "down", {}, false};
        applied = false;
    } else if (sink.target_down[ended.key % sink.target_down.size()]) {
        seen = {what::target, "no such topic", {}, false};
        applied = false;
    } else if (bad && chance(0.3)) {
        seen = {what::transient, "reply lost", {}, false};  // applied all the same
    } else if (bad && chance(0.2) && sink.depth == engine::lane_depth::pipelined) {
        // Never when sent alone: here no record is itself to blame.
        if (!relay_->delivery_at(ended.token.slot).sent_alone) {
            seen = {what::batch, "batch refused", {}, false};
            applied = false;
            ++reached_.batch_refused;
        }
    } else if (bad) {
        seen = {what::transient, "busy", {}, false};
        if (chance(0.2)) seen.retry_after = milliseconds{draw(0, 3000)};
        seen.hold_target = chance(0.5);
        applied = false;
    }
    if (applied) sink.applied[ended.row].push_back(++counter_);
    relay_->attempt_ended(ended.token, seen, now_);
    free_released();
}

void world::write_record() {
    writing_ = relay_->record_due(now_);
    if (!writing_) return;
    writing_lands_ = !(faults_ && chance(0.1));
    if (writing_lands_ || chance(0.5))
        record_ = std::max(record_, writing_->safe);  // it may land without an answer
}

void world::end_record() {
    if (writing_lands_) {
        relay_->recorded("1:2:", lsn{wal_end_.value});
    } else {
        relay_->record_failed();
        ++reached_.record_outcome_unknown;
    }
    writing_.reset();
}

void world::send_status() {
    const auto told = relay_->status_due(now_);
    if (!told) return;
    check_status(*told);
    confirmed_ = std::max(confirmed_, told->flushed);
}

void world::change_weather() {
    for (fake_sink& sink : sinks_) {
        sink.down = faults_ && chance(fault_rate_ / 4);
        for (std::size_t i = 0; i < sink.target_down.size(); ++i) {
            sink.target_down[i] = faults_ && chance(fault_rate_ / 3);
        }
    }
}

void world::relay_crash() {
    if (next_row_) ++reached_.relay_crash_in_transaction;
    if (relay_->units().safe() > confirmed_) ++reached_.crash_between_delivery_and_ack;
    next_row_.reset();
    new_relay();
}

void world::server_crash() {
    if (durable_confirmed_ < confirmed_) ++reached_.confirmed_position_went_back;
    confirmed_ = durable_confirmed_;
    disconnect();
}

void world::disconnect() {
    if (!connected_) return;
    connected_ = false;
    same_history_ = true;
    next_row_.reset();
    if (writing_) end_record();
    if (relay_->in_flight() > 0) ++reached_.reconnect_with_attempts_in_flight;
    relay_->stream_lost();
    free_released();
}

void world::connect() {
    if (relay_->in_flight() > 0) return;  // attempts on the wire are awaited first
    connected_ = true;
    relay_->stream_started(record_, same_history_, std::chrono::seconds{1}, now_);
    const auto first =
        std::find_if(source_.begin(), source_.end(),
                     [&](const source_transaction& one) { return one.commit >= confirmed_; });
    next_transaction_ = static_cast<std::size_t>(first - source_.begin());
}

}  // namespace walrelay::simulation
