// A simulated Postgres, simulated sinks and stores and faults around the real engine, the real
// decoder and the real routes, under virtual time.
//
// Everything is drawn from one seed: the transactions, the shape of the sinks, the faults and the
// order in which things happen. First things break; then all is healthy, and time moves only when
// the engine asked to be woken, so that a lost wake-up is a hang. The world keeps its own account
// of what the engine should know, and compares after each step; a broken promise throws.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "simulation/fake_sink.hpp"
#include "simulation/fake_store.hpp"
#include "simulation/plot.hpp"
#include "simulation/random_numbers.hpp"
#include "simulation/rare_states.hpp"
#include "simulation/source_row.hpp"
#include "simulation/wire.hpp"
#include "walrelay/engine/engine.hpp"
#include "walrelay/intake/intake.hpp"

namespace walrelay::simulation {

class broken_promise : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// One run from one seed.
class world {
public:
    explicit world(std::uint64_t seed, const plot& told = {});

    /// Until everything is delivered and acknowledged, or a promise is broken.
    void run();

    [[nodiscard]] const rare_states& reached() const noexcept { return reached_; }

    /// What happened, a line each; only if the plot asks for it.
    [[nodiscard]] const std::vector<std::string>& story() const noexcept { return story_; }

    /// What a plot could leave out: steps and rows count from 1 and 0 (a transaction without rows
    /// counts as one), faults have names.
    [[nodiscard]] std::uint64_t steps_with_faults() const noexcept {
        return std::min(steps_, fault_steps_);
    }

    [[nodiscard]] std::uint64_t rows_drawn() const noexcept { return rows_drawn_; }

    [[nodiscard]] const std::vector<std::uint64_t>& faults_met() const noexcept {
        return faults_met_;
    }

private:
    struct record_write {
        lsn safe;
        bool answered = true;
        bool lands = true;  ///< not yet, but it will
    };

    /// A request to the store that is under way.
    struct store_call {
        engine::aside_request request;
        bool answered = true;
        bool lands = true;
        bool landed = false;
        bool stale = false;  ///< the stream that asked is gone
        std::vector<fake_store::row> puts;
        std::optional<intake::mark> wish;
        std::vector<engine::aside_put_answer> there;
        std::vector<intake::loaded_row> loaded;
        std::vector<engine::lane_ref> touched;
    };

    /// A fast stop of the server that is under way.
    struct server_stop {
        time_point begun{};
        time_point relay_reads_at{};  ///< the last time that there were rows, and it took them
        bool awaits_reply = false;
        bool relay_knows = false;  ///< its SQL connection was ended
        bool relay_sends = true;
    };

    struct read_unit {
        lsn end;
        std::uint64_t events = 0;
    };

    struct slot_note {
        row_pointer row;  ///< null: a mark
        std::uint64_t bytes = 0;
        bool fed = false;
    };

    // ---- world.cpp: what happens when
    void next_step();
    void break_things();
    void break_something();
    void act();
    void act_store();
    void heal(bool (world::*until)() = &world::settled);
    [[nodiscard]] bool act_without_time();
    void wake();
    void look_again();
    void finish();
    [[nodiscard]] bool delivered();
    [[nodiscard]] bool settled();
    void resume_sinks();

    // ---- draws.cpp: making the world
    void draw_sinks();
    void draw_limits();
    /// Nothing if the plot leaves all of it out.
    [[nodiscard]] std::optional<source_transaction> draw_transaction();
    [[nodiscard]] row_pointer draw_row();
    void make_model();
    [[nodiscard]] static config::route for_messages(config::route of_rows);
    [[nodiscard]] bool chance(double probability);
    /// A fault, or what an operator does: the plot may leave it out.
    [[nodiscard]] bool fault(double probability);
    [[nodiscard]] std::uint64_t draw(std::uint64_t low, std::uint64_t high);

    // ---- server.cpp: the stream, the record, the acknowledgement
    void commit(source_transaction unit);
    void commit_one();
    void place_rows(source_transaction& unit);
    void send_bytes();
    [[nodiscard]] bool can_receive();
    void receive();
    void receive_damaged(const pgoutput::frame& whole);
    void take(const frame_note& note, pgoutput::frame&& frame);
    void note_row(const frame_note& note, std::uint64_t events_before, std::uint64_t bytes_before,
                  const std::vector<std::size_t>& unresolved_before);
    [[nodiscard]] static engine::lane_key lane_of(const std::string& key);
    void note_mark(const operator_mark& mark);
    /// What is noted of an event that the engine names.
    [[nodiscard]] const slot_note& kept(engine::event_slot slot) const;
    engine::event_slot note_new_slot(const row_pointer& row, std::uint64_t bytes, bool fed);
    void begin_unit(lsn commit_lsn);
    void end_unit(lsn end);
    void send_keepalive();
    void write_record(bool at_once = false);
    void land_record();
    void end_record();
    void send_status(bool at_once = false);
    void tell_status(const engine::status_message& told);
    void connect();
    void disconnect();
    void server_crash();
    void failover();

    // ---- server_stop.cpp: a fast stop
    void stop_server();
    void end_sql();
    void stop_on_both_sides();
    void walsender_asks();
    void let_server_stop();
    void server_hears(const engine::status_message& told);
    [[nodiscard]] bool all_sent() const;

    // ---- store.cpp: walrelay.parked, and operators
    void ask_store();
    void land_store_call();
    void end_store_call();
    void note_puts(const engine::put_request& asked);
    void operate();
    void lift_blocks();
    void route_lost_rows();
    void find_route(source_row& row) const;
    void commit_mark(std::string action, std::string sink, std::vector<std::int64_t> ids);
    void note_redrive(const operator_mark& mark);
    void read_pauses();
    void look_for_pauses();
    [[nodiscard]] bool any_waiting() const;
    [[nodiscard]] std::vector<engine::aside_id> blockers() const;

    // ---- relay_process.cpp: its end and its start
    void new_relay();
    void relay_crash();
    void end_process();
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
    void account(std::size_t index, const wire_attempt& ended, const engine::outcome& meant);
    void count_parked(fake_sink& sink);
    void account_of_departure(std::size_t index, const wire_attempt& ended);
    void account_of_fed(std::size_t index, const wire_attempt& ended, const engine::outcome& meant,
                        const engine::outcome& seen);
    void land_late();
    void tell_late_outcome();
    void change_weather();
    [[nodiscard]] bool any_on_wire() const;

    [[nodiscard]] bool halted_by_sink() const { return relay_->halted() && relay_->halted()->sink; }

    // ---- checks.cpp
    void check_send(std::size_t index, const open_delivery& chosen,
                    const engine::engine::attempt& attempt) const;
    void check_record(std::size_t index, const engine::engine::attempt& attempt,
                      const source_row& row);
    void check_not_in_store(std::size_t index, const source_row& row) const;
    void check_fed_send(std::size_t index, const fake_store::row& stored,
                        const source_row& row) const;
    [[nodiscard]] bool waits_in_store(std::size_t index, const source_row& row) const;
    void check_quiet(std::size_t index) const;
    void check_opened(std::size_t index, const source_row& row) const;
    void check_halt(const wire_attempt& ended, const engine::outcome& meant,
                    std::uint32_t refusals) const;
    void check_taken_as_resolved(const source_row& row, std::size_t index) const;
    void check_put(const engine::aside_put& put, const source_row& row) const;
    void check_step();
    void check_counts() const;
    void check_safe();
    void check_status(const engine::status_message& told);
    void check_feedback() const;
    void check_clean() const;
    void check_end() const;
    void check_end_of(const fake_sink& sink) const;
    [[nodiscard]] bool landed_alive(const source_row& row, std::size_t index) const;
    [[nodiscard]] bool resolved(const source_row& row) const;
    [[nodiscard]] bool dropped(const source_row& row, std::size_t index) const;

    /// A line of the story; nothing is made of the parts unless it is kept.
    template <class... Parts>
    void tell(const Parts&... parts) {
        if (!plot_.tells) return;
        std::ostringstream line;
        (line << ... << parts);
        keep(line.str());
    }

    void keep(const std::string& line);
    void tell_shape();
    void tell_commit(const source_transaction& unit);
    void tell_put(const fake_store::row& row);
    [[noreturn]] void fail(const std::string& what) const;

    std::uint64_t seed_;
    plot plot_;
    random_numbers random_;
    bool faults_ = true;
    double fault_rate_ = 0;   ///< of one attempt
    double break_rate_ = 0;   ///< of connections and processes, a step
    double full_rate_ = 0;    ///< of a sink that has room
    double slow_rate_ = 0;    ///< of attempts that could end
    double commit_rate_ = 0;  ///< a step
    double bad_row_rate_ = 0;
    double store_fault_rate_ = 0;
    double operator_rate_ = 0;  ///< a step
    double stuck_rate_ = 0;     ///< of a key, when the weather changes
    std::uint64_t fault_steps_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t arrivals_ = 0;
    std::uint64_t rows_drawn_ = 0;
    std::uint64_t transactions_drawn_ = 0;
    std::uint64_t faults_of_step_ = 0;
    std::vector<std::uint64_t> faults_met_;
    time_point now_{};

    // the server
    std::vector<source_transaction> source_;  ///< committed
    std::uint64_t transactions_left_ = 0;
    row_number next_number_ = 1;
    std::int64_t next_mark_ = 1;
    std::map<row_number, row_pointer> by_number_;
    bool lost_has_route_ = false;
    std::uint32_t keys_ = 1;
    std::size_t targets_ = 1;
    /// Redrives that are committed, not applied: the keys of their rows.
    std::map<std::int64_t, std::set<std::string>> redriven_keys_;
    lsn last_event_;  ///< end of the last transaction that has rows
    lsn wal_end_;
    lsn confirmed_;                             ///< of the slot, in memory
    lsn durable_confirmed_;                     ///< of the slot, on disk
    lsn record_;                                ///< walrelay.progress
    std::vector<std::pair<lsn, lsn>> records_;  ///< each record, and where the WAL ended then
    std::uint64_t timeline_ = 1;
    fake_store store_;
    wire wire_;

    std::vector<fake_sink> sinks_;
    config::model model_;
    std::vector<config::route> base_routes_;  ///< before operators add any

    // the relay
    engine::engine_options options_;
    std::optional<event::router> routes_;
    intake::event_store events_;
    std::optional<engine::engine> relay_;
    std::optional<intake::intake> intake_;
    std::optional<intake::row_reader> reader_;
    intake::intake_counters counters_;
    std::uint64_t process_ = 0;
    std::uint64_t epoch_ = 0;  ///< of the slot
    bool connected_ = false;
    std::uint64_t known_timeline_ = 0;     ///< that this process has read from; 0: none
    std::size_t next_transaction_ = 0;     ///< that the walsender sends
    std::optional<std::size_t> next_row_;  ///< that it sends of it
    bool read_open_ = false;               ///< the relay is inside a transaction
    bool suppressed_ = false;              ///< its rows were resolved before
    lsn unit_end_;
    std::uint64_t events_of_unit_ = 0;
    std::vector<read_unit> units_read_;  ///< complete, on this connection
    std::map<engine::event_slot, slot_note> slots_;
    std::optional<record_write> writing_;
    std::optional<store_call> calling_;
    std::optional<server_stop> stopping_;
    lsn recorded_;                ///< as this connection knows it
    std::size_t units_safe_ = 0;  ///< of source_: found resolved when safe had passed them
    std::set<lsn> ends_{lsn{}};   ///< that the server has told: of units, and of adopted keepalives
    lsn safe_seen_;               ///< by this process, on this timeline
    lsn acked_;                   ///< likewise
    time_point told_at_{};        ///< the last status, or the start of the stream
    std::optional<time_point> asked_at_;  ///< the server waits for a reply
    event::record record_sent_;
    row_pointer halted_at_;
    bool ends_wait_ = false;  ///< attempts end only when nothing more can be read

    rare_states reached_;
    std::vector<std::string> story_;
};

}  // namespace walrelay::simulation
