// What was read, what is resolved, and how far it may be acknowledged.
#pragma once

#include <cstdint>
#include <vector>

#include "walrelay/core/lsn.hpp"

namespace walrelay::engine {

/// Names a unit (a transaction) in the ledger while it has unresolved events, or is open.
using unit_index = std::uint32_t;

/// The units between the last safe position and the newest byte read, in commit order. Consecutive
/// resolved units are one entry, so memory follows what is unresolved, not what was read.
///
/// Only end LSNs of units, and keepalive positions adopted while nothing is unresolved, ever become
/// safe (I3, I4, I5). Pure; no clock.
class ledger {
public:
    /// A new connection: the server sends again from its confirmed position. Units are forgotten,
    /// safe() stays: what it covers was resolved.
    void restart();
    /// Another history of the server (a failover): safe() starts again from the record.
    void restart_at(lsn recorded);

    /// `commit_time_us` is for lag, microseconds since 1970. Fails (throws) when a unit is open.
    unit_index begin(std::int64_t commit_time_us);
    /// One event of the open unit; it is unresolved.
    void add_event();
    /// One event of the open unit that needs no delivery.
    void add_resolved_event();
    void commit(lsn end);
    /// One event of `unit` is resolved.
    void resolve(unit_index unit);
    /// A keepalive's position; adopted only if no unit is open and nothing is unresolved (I4).
    void adopt(lsn wal_end);

    [[nodiscard]] bool unit_open() const noexcept { return open_ != none; }

    /// No open unit, nothing unresolved.
    [[nodiscard]] bool idle() const noexcept { return head_ == none; }

    /// Nothing before this unit is unresolved.
    [[nodiscard]] bool oldest(unit_index which) const noexcept { return head_ == which; }

    [[nodiscard]] lsn received() const noexcept { return received_; }

    [[nodiscard]] lsn safe() const noexcept { return safe_; }

    /// Events of complete units read in all, and of those up to safe(); both only grow until
    /// restart.
    [[nodiscard]] std::uint64_t complete_events() const noexcept { return complete_events_; }

    [[nodiscard]] std::uint64_t safe_events() const noexcept { return safe_events_; }

    /// Commit time of the oldest unit that is not resolved, microseconds since 1970; 0 when idle.
    [[nodiscard]] std::int64_t oldest_commit_time_us() const noexcept;

    /// Entries in use; for tests of memory.
    [[nodiscard]] std::size_t entries() const noexcept { return entries_; }

private:
    static constexpr unit_index none = UINT32_MAX;

    struct unit {
        lsn end;  ///< of the last unit of a merged run
        std::uint64_t events = 0;
        std::uint64_t unresolved = 0;
        std::int64_t commit_time_us = 0;
        unit_index previous = none;
        unit_index next = none;
        bool complete = false;

        [[nodiscard]] bool resolved() const noexcept { return complete && unresolved == 0; }
    };

    unit_index append();
    void settle(unit_index resolved);
    void remove(unit_index at);

    std::vector<unit> units_;  ///< a pool; links give the order
    std::vector<unit_index> free_;
    unit_index head_ = none;
    unit_index tail_ = none;
    unit_index open_ = none;
    std::size_t entries_ = 0;
    lsn received_;
    lsn safe_;
    std::uint64_t complete_events_ = 0;
    std::uint64_t safe_events_ = 0;
};

}  // namespace walrelay::engine
