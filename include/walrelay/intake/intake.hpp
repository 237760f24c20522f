// Frames of one replication connection to the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/core/clock.hpp"
#include "walrelay/engine/engine.hpp"
#include "walrelay/event/router.hpp"
#include "walrelay/intake/event_store.hpp"
#include "walrelay/intake/plan_cache.hpp"
#include "walrelay/pgoutput/stream_reader.hpp"

namespace walrelay::intake {

/// Kept over reconnects.
struct intake_counters {
    std::map<std::string, std::uint64_t> received;  ///< rows by schema.table
    std::uint64_t discarded = 0;
    std::uint64_t ignored_changes = 0;
};

/// Time is handed in.
struct clocks {
    std::function<time_point()> now;
    std::function<std::int64_t()> unix_microseconds;
};

/// Of each sink the newest mark that paused or resumed it.
struct pause_marks {
    std::vector<std::int64_t> newest;  ///< ids, in the order of the sink map; 0: none
};

/// Pure. One for each connection: the protocol and its relations start anew. All that it is given
/// outlives it.
class intake {
public:
    intake(const config::model& model, const event::router& routes, engine::engine& decisions,
           event_store& events, intake_counters& counters, clocks time);

    /// False: it wants no more until the engine wants rows again. An error: the stream must be
    /// given up.
    [[nodiscard]] result<bool> take(pgoutput::frame&& received);

    /// What the sinks were told last; before the first frame.
    void set_pauses(pause_marks pauses) { pauses_ = std::move(pauses); }

    /// No row of a new transaction is taken any more; the open one is read to its end. What comes
    /// after it is kept back, or not taken.
    void stop_at_commit() noexcept { stopping_ = true; }

    /// Takes stop_at_commit() back: what was kept back is taken, and the rest follows once the
    /// caller has seen that paused() may end. An error: as of take().
    [[nodiscard]] result<void> undo_stop();

    /// Between transactions, with stop_at_commit() said: nothing more will be taken.
    [[nodiscard]] bool stopped() const noexcept { return stopping_ && !reader_.open_transaction(); }

    /// take() said that it wants no more; resume the stream when the engine wants rows again.
    [[nodiscard]] bool paused() const noexcept { return paused_; }

    void resumed() noexcept { paused_ = false; }

    /// What a person should read; the caller clears it.
    [[nodiscard]] std::vector<std::string>& notices() noexcept { return notices_; }

private:
    void begin_unit(lsn commit_lsn, std::int64_t commit_time_us);
    void on_row(const pgoutput::row_inserted& row, pgoutput::frame&& received);
    void on_message(const pgoutput::message_emitted& message);
    void on_mark(const pgoutput::row_inserted& row, pgoutput::frame&& received);
    /// Routes one event and gives it to the engine. `bytes` is what it holds in memory: the frame,
    /// or the row that was made of a message.
    void place(stored_event&& arrived, std::size_t bytes);
    /// An event error that no sink is to blame for.
    void refuse(stored_event&& arrived, std::size_t bytes, std::string reason,
                config::error_policy policy);
    void ignore(const pgoutput::change_ignored& change);

    const config::model& model_;
    const event::router& routes_;
    plan_cache plans_;
    engine::engine& decisions_;
    event_store& store_;
    intake_counters& counters_;
    const clocks time_;
    pgoutput::stream_reader reader_;
    const pgoutput::relation* counted_ = nullptr;  ///< the table that `received_` counts
    std::uint64_t* received_ = nullptr;
    std::vector<event::placement> placements_;
    pause_marks pauses_;
    std::vector<std::string> notices_;
    std::uint32_t next_message_ = 0;  ///< ordinal in the open transaction
    bool resolved_before_ = false;    ///< the open transaction's rows were resolved earlier
    bool stopping_ = false;
    std::optional<pgoutput::frame> kept_back_;  ///< came between transactions, while stopping
    bool paused_ = false;
};

}  // namespace walrelay::intake
