// What the relay shows of itself, as plain values: the source of /readyz, /status and /metrics.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "walrelay/core/lsn.hpp"

namespace walrelay::admin {

struct table_figures {
    std::string table;  ///< schema.name
    std::uint64_t received = 0;
};

/// What holds a sink, a topic or URL of it, or a key back. Text has passed printable().
struct stall {
    std::string scope;  ///< "sink", "target" or "key"
    std::string name;   ///< topic, URL path or key; empty for the sink itself
    std::string reason;
    std::uint64_t attempts = 0;
    double seconds = 0;        ///< since the first failure
    bool holds_limits = true;  ///< false: a held key, whose events are in walrelay.parked
};

struct sink_figures {
    std::string name;
    std::string kind;  ///< kafka, http, stdout, discard
    std::uint64_t delivered = 0;
    std::uint64_t in_flight = 0;  ///< attempts on the wire
    std::uint64_t waiting =
        0;  ///< events that were read and not sent yet, or wait to be sent again
    /// Attempts that were not delivered, by class: transient, target, endpoint, event, unknown.
    std::vector<std::pair<std::string, std::uint64_t>> retried;
    std::uint64_t parked = 0;     ///< events set aside since the start, refused for good
    std::uint64_t held = 0;       ///< the same, behind a key that is stuck
    std::uint64_t held_keys = 0;  ///< now: keys whose events come from walrelay.parked
    bool paused = false;          ///< by an operator
    std::string notice;
    std::vector<stall> stalls;  ///< at most 10, the oldest first
};

struct snapshot {
    std::string version;
    std::string slot;
    std::string state;  ///< "waiting for the slot", "streaming", "halted"…
    bool ready = false;
    std::vector<std::string> not_ready_because;  ///< empty when ready
    std::string reload_fault;  ///< why the last reload changed nothing; empty when it did, or none
    std::string halt;          ///< table, id, LSN, reason and the way on; empty when not halted

    lsn received;
    lsn safe;
    lsn recorded;
    lsn acked;
    lsn server_wal_end;           ///< the newest position that the server told
    std::uint64_t lag_bytes = 0;  ///< server_wal_end - safe
    double lag_seconds = 0;       ///< age of the oldest unresolved commit; 0 when none
    std::uint64_t slot_retained_bytes = 0;
    std::uint64_t epoch = 0;

    std::uint64_t in_flight_events = 0;
    std::uint64_t in_flight_bytes = 0;
    std::uint64_t replay_events = 0;
    std::string
        limit_held_by;  ///< which limit is full and which key or sink fills it; empty when none
    std::uint64_t reconnects = 0;
    double loop_latency_seconds = 0;

    std::vector<table_figures> tables;
    std::vector<sink_figures> sinks;
    std::uint64_t parked_without_route = 0;
    std::uint64_t discarded = 0;        ///< rows of `to: none` routes
    std::uint64_t ignored_changes = 0;  ///< UPDATE, DELETE and TRUNCATE of captured tables
};

using snapshot_source = std::function<snapshot()>;

}  // namespace walrelay::admin
