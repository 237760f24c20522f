// A simulated Postgres, simulated sinks and faults around the real engine, under virtual time.
//
// Everything is drawn from one seed: the transactions, the shape of the sinks, the faults and the
// order in which things happen. After each step the invariants are checked; a broken one throws
// broken_promise.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "walrelay/engine/engine.hpp"

namespace walrelay::simulation {

class broken_promise : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// States that a set of runs must reach, or it proves little.
struct rare_states {
    std::uint64_t relay_crash_in_transaction = 0;
    std::uint64_t crash_between_delivery_and_ack = 0;
    std::uint64_t confirmed_position_went_back = 0;
    std::uint64_t reconnect_with_attempts_in_flight = 0;
    std::uint64_t limit_full = 0;
    std::uint64_t keepalive_adopted = 0;
    std::uint64_t keepalive_inside_transaction = 0;
    std::uint64_t successor_sent_again = 0;
    std::uint64_t sink_stalled = 0;
    std::uint64_t target_stalled = 0;
    std::uint64_t batch_refused = 0;
    std::uint64_t sink_full = 0;
    std::uint64_t record_outcome_unknown = 0;
    std::uint64_t event_for_two_sinks = 0;
    std::uint64_t unit_resolved_before = 0;

    /// Name and count of each.
    [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> counts() const;
    rare_states& operator+=(const rare_states& other);
};

/// One run from one seed.
class world {
public:
    explicit world(std::uint64_t seed);

    /// Until everything is delivered and acknowledged, or a promise is broken.
    void run();

    [[nodiscard]] const rare_states& reached() const noexcept { return reached_; }

private:
    struct source_row {
        std::uint32_t key = 0;
        bool keyed = true;
        std::vector<std::size_t> sinks;
    };

    struct source_transaction {
        lsn commit;
        lsn end;
        std::vector<source_row> rows;
        bool visible = false;  ///< committed: the server may send it
    };

    /// (transaction, row): the identity of an event.
    struct row_id {
        std::size_t transaction = 0;
        std::size_t row = 0;
        friend auto operator<=>(row_id, row_id) = default;
    };

    struct wire_attempt {
        engine::attempt_token token;
        row_id row;
        std::uint32_t key = 0;
        bool keyed = true;
        time_point ends{};
    };

    struct fake_sink {
        engine::lane_depth depth = engine::lane_depth::serial;
        std::size_t capacity = 1;
        std::deque<wire_attempt> wire;                         ///< in the order of sending
        std::map<row_id, std::vector<std::uint64_t>> applied;  ///< row → when, by a counter
        bool down = false;
        std::vector<bool> target_down;
    };

    // -- making the world
    void draw_source();
    void draw_sinks();
    void new_relay();

    // -- steps
    void step();
    void commit_one();
    void receive();
    void receive_keepalive();
    void pump();
    void end_attempt();
    void write_record();
    void end_record();
    void send_status();
    void change_weather();
    void relay_crash();
    void server_crash();
    void disconnect();
    void connect();
    void free_released();

    // -- checks
    void check_status(const engine::status_message& told) const;
    void check_limits() const;
    void check_wire() const;
    void check_end() const;
    [[nodiscard]] bool all_delivered() const;
    [[nodiscard]] bool chance(double probability);
    [[nodiscard]] std::uint64_t draw(std::uint64_t low, std::uint64_t high);
    [[noreturn]] void fail(const std::string& what) const;

    std::uint64_t seed_;
    std::mt19937_64 random_;
    bool faults_ = true;
    double fault_rate_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t counter_ = 0;
    time_point now_{};

    // the server
    std::vector<source_transaction> source_;
    lsn last_event_;  ///< end of the last transaction that has rows
    lsn wal_end_;
    lsn confirmed_;          ///< of the slot, in memory
    lsn durable_confirmed_;  ///< of the slot, on disk
    lsn record_;             ///< walrelay.progress

    // the sinks
    std::vector<fake_sink> sinks_;
    std::uint32_t keys_ = 1;

    // the relay
    engine::engine_options options_;
    std::optional<engine::engine> relay_;
    bool connected_ = false;
    bool same_history_ = false;
    std::size_t next_transaction_ = 0;
    std::optional<std::size_t> next_row_;  ///< inside a transaction
    bool suppressed_ = false;              ///< its rows were resolved before
    std::map<engine::event_slot, row_id> held_;
    std::optional<engine::progress_schedule::write> writing_;
    bool writing_lands_ = false;

    rare_states reached_;
};

}  // namespace walrelay::simulation
