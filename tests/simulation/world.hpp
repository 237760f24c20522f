// A simulated Postgres, simulated sinks and faults around the real engine, under virtual time.
//
// Everything is drawn from one seed: the transactions, the shape of the sinks, the faults and the
// order in which things happen. First things break; then all is healthy, and time moves only when
// the engine asked to be woken, so that a lost wake-up is a hang. The world keeps its own account
// of what the engine should know, and compares after each step; a broken promise throws.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "simulation/fake_sink.hpp"
#include "simulation/rare_states.hpp"
#include "simulation/source_row.hpp"
#include "walrelay/engine/engine.hpp"

namespace walrelay::simulation {

class broken_promise : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// One run from one seed.
class world {
public:
    explicit world(std::uint64_t seed);

    /// Until everything is delivered and acknowledged, or a promise is broken.
    void run();

    [[nodiscard]] const rare_states& reached() const noexcept { return reached_; }

private:
    struct record_write {
        lsn safe;
        bool answered = true;
        bool lands = true;  ///< not yet, but it will
    };

    struct read_unit {
        lsn end;
        std::uint64_t events = 0;
    };

    // ---- world.cpp: making the world, and what happens when
    void draw_sinks();
    void draw_transactions(std::uint64_t count, std::uint64_t at);
    [[nodiscard]] row_pointer draw_row();
    void break_things();
    void act();
    void heal(bool (world::*until)() = &world::settled);
    [[nodiscard]] bool act_without_time();
    void wake();
    void look_again();
    void finish();
    [[nodiscard]] bool delivered();
    [[nodiscard]] bool settled();

    // ---- server.cpp: the stream, the record, the acknowledgement
    void commit_one();
    [[nodiscard]] bool can_receive();
    void receive();
    void receive_row(const row_pointer& row);
    void begin_unit(const source_transaction& unit);
    void receive_keepalive();
    void write_record(bool at_once = false);
    void land_record();
    void end_record();
    void send_status(bool at_once = false);
    void connect();
    void disconnect();
    void server_crash();
    void failover();

    // ---- relay_process.cpp: its end and its start
    void new_relay();
    void relay_crash();
    void stop_cleanly();
    void step_over();
    void note_halt();
    void free_released();

    // ---- sinks.cpp: attempts
    void pump(bool time_alone = false);
    void pump_sink(std::size_t index, bool time_alone);
    void send(std::size_t index, const engine::engine::attempt& attempt);
    void end_attempt();
    void end_attempt_of(std::size_t index);
    [[nodiscard]] engine::outcome draw_outcome(std::size_t index, const wire_attempt& ended,
                                               bool& landed);
    void account(std::size_t index, const wire_attempt& ended, const engine::outcome& seen);
    void land_late();
    void change_weather();
    [[nodiscard]] bool any_on_wire() const;

    [[nodiscard]] bool halted_by_sink() const { return relay_->halted() && relay_->halted()->sink; }

    // ---- checks.cpp
    void check_send(const fake_sink& sink, const open_delivery& chosen,
                    const engine::engine::attempt& attempt) const;
    void check_quiet(std::size_t index) const;
    void check_opened(std::size_t index, const source_row& row) const;
    void check_halt(const wire_attempt& ended, const engine::outcome& seen,
                    std::uint32_t refusals) const;
    void check_step();
    void check_counts() const;
    void check_safe();
    void check_status(const engine::status_message& told) const;
    void check_clean() const;
    void check_end() const;
    void check_end_of(const fake_sink& sink) const;
    [[nodiscard]] bool landed_alive(const source_row& row) const;

    [[nodiscard]] bool chance(double probability);
    [[nodiscard]] std::uint64_t draw(std::uint64_t low, std::uint64_t high);
    [[noreturn]] void fail(const std::string& what) const;

    std::uint64_t seed_;
    std::mt19937_64 random_;
    bool faults_ = true;
    double fault_rate_ = 0;   ///< of one attempt
    double break_rate_ = 0;   ///< of connections and processes, a step
    double full_rate_ = 0;    ///< of a sink that has room
    double slow_rate_ = 0;    ///< of attempts that could end
    double commit_rate_ = 0;  ///< a step
    double bad_row_rate_ = 0;
    std::uint64_t fault_steps_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t arrivals_ = 0;
    time_point now_{};

    // the server
    std::vector<source_transaction> source_;
    row_number next_number_ = 1;
    std::uint32_t keys_ = 1;
    lsn last_event_;  ///< end of the last transaction that has rows
    lsn wal_end_;
    lsn confirmed_;                             ///< of the slot, in memory
    lsn durable_confirmed_;                     ///< of the slot, on disk
    lsn record_;                                ///< walrelay.progress
    std::vector<std::pair<lsn, lsn>> records_;  ///< each record, and where the WAL ended then
    std::uint64_t timeline_ = 1;

    std::vector<fake_sink> sinks_;

    // the relay
    engine::engine_options options_;
    std::optional<engine::engine> relay_;
    std::uint64_t process_ = 0;
    bool connected_ = false;
    std::uint64_t known_timeline_ = 0;  ///< that this process has read from; 0: none
    std::size_t next_transaction_ = 0;
    std::optional<std::size_t> next_row_;  ///< inside a transaction
    bool suppressed_ = false;              ///< its rows were resolved before
    std::uint64_t events_of_unit_ = 0;
    std::vector<read_unit> units_read_;  ///< complete, on this connection
    std::map<engine::event_slot, row_pointer> held_;
    std::optional<record_write> writing_;
    lsn recorded_;                ///< as this connection knows it
    std::size_t units_safe_ = 0;  ///< of source_: found delivered when safe had passed them
    row_pointer halted_at_;
    bool ends_wait_ = false;  ///< attempts end only when nothing more can be read

    rare_states reached_;
};

}  // namespace walrelay::simulation
