// When the progress record is written, and with what.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "walrelay/core/clock.hpp"
#include "walrelay/core/lsn.hpp"
#include "walrelay/engine/ledger.hpp"

namespace walrelay::engine {

/// The record is durable before the acknowledgement that it covers, so the slot is never ahead of
/// it. Written once a second while events are resolved, sooner when half of `replay_events` has
/// been resolved since. Idle: once the stream is 256 KiB past the record, else every five minutes,
/// and never for the WAL of our own record alone (each record on an idle server would archive a
/// segment a period).
///
/// Also carries the delivered snapshot: once safe() has passed the LSN that came with a snapshot,
/// all that the snapshot sees was delivered, and the next record stores it. One snapshot waits at a
/// time.
class progress_schedule {
public:
    explicit progress_schedule(std::uint64_t replay_events) noexcept
        : replay_limit_{replay_events} {}

    /// The record as it was read or drawn at the start of a connection; counts start again.
    /// `behind`: units above it were resolved before, so a write is owed though nothing new is
    /// resolved.
    void restart(lsn recorded, bool behind, time_point now);

    struct write {
        lsn safe;
        std::optional<std::string> delivered_snapshot;
    };

    /// What to write now; the caller says done() or failed() before it is asked again. `at_once`:
    /// the relay stops, or must know.
    [[nodiscard]] std::optional<write> due(const ledger& units, time_point now,
                                           bool at_once = false);
    /// The write is durable. `insert_lsn`: our own WAL ends about there.
    void done(std::string snapshot, lsn insert_lsn);
    /// The write's outcome is unknown or bad: it is tried again after a second.
    void failed();

    [[nodiscard]] bool writing() const noexcept { return writing_.has_value(); }

    [[nodiscard]] lsn recorded() const noexcept { return recorded_; }

    /// Events of complete units behind the record: exactly what a crash sends twice.
    [[nodiscard]] std::uint64_t replay_events(const ledger& units) const noexcept {
        return units.complete_events() - recorded_events_;
    }

    [[nodiscard]] time_point wake_at(const ledger& units) const noexcept;

private:
    struct mark {
        lsn safe;
        std::uint64_t events = 0;
    };

    [[nodiscard]] time_point due_at(const ledger& units) const noexcept;

    const std::uint64_t replay_limit_;
    lsn recorded_;
    std::uint64_t recorded_events_ = 0;
    time_point last_write_{};
    time_point not_before_{};  ///< after a write that failed
    std::optional<mark> writing_;
    lsn own_wal_end_;  ///< nothing but our record's WAL lies before it, when idle

    struct waiting_snapshot {
        std::string text;
        lsn after;
    };

    std::optional<waiting_snapshot> snapshot_;
    bool stores_snapshot_ = false;
    bool owes_write_ = false;
};

}  // namespace walrelay::engine
