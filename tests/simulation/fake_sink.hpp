// A simulated destination, and what the world itself knows of the records on their way to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "simulation/source_row.hpp"
#include "walrelay/core/clock.hpp"
#include "walrelay/engine/lanes.hpp"

namespace walrelay::simulation {

struct wire_attempt {
    engine::attempt_token token;
    row_pointer row;
    bool orphaned = false;        ///< its stream is gone
    bool alone = true;            ///< nothing else was on the wire with it
    engine::aside_id stored = 0;  ///< its row in the store; 0: the stream brought it
};

struct arrival {
    std::uint64_t when = 0;     ///< by a counter
    std::uint64_t process = 0;  ///< of the relay that sent it
    bool process_dead = false;  ///< when it arrived
};

/// One unresolved delivery that the stream brought, as the world counts it; the engine's own view
/// is compared with it.
struct open_delivery {
    enum class state : std::uint8_t { never_sent, on_wire, waits_again, leaving };

    row_pointer row;
    state now = state::never_sent;
    std::uint32_t sends = 0;
    std::uint32_t refusals = 0;
    bool failed = false;
    bool suspect = false;    ///< a batch that held it was refused
    bool blamed = false;     ///< the last outcome was about the record itself
    bool transient = false;  ///< the last outcome may pass
    bool gave_up = false;    ///< may be parked
    bool passable = false;   ///< parked, and its key goes on
};

struct fake_sink {
    struct late_attempt {
        row_pointer row;
        std::uint64_t process = 0;
    };

    engine::lane_depth depth = engine::lane_depth::serial;
    std::size_t capacity = 1;
    bool down = false;
    bool refuses_all = false;
    bool paused = false;
    std::int64_t pause_mark = 0;  ///< the newest that said so, or the contrary
    std::set<std::string> stuck;  ///< keys that fail alone
    std::vector<bool> target_down;
    std::deque<wire_attempt> wire;           ///< in the order of sending
    std::vector<late_attempt> late;          ///< of dead processes
    std::deque<engine::attempt_token> over;  ///< the last ones whose outcome was told
    std::map<row_number, std::vector<arrival>> landed;
    std::map<row_number, open_delivery> open;            ///< in source order
    std::map<std::size_t, std::uint64_t> target_hashes;  ///< that the relay knows targets by
    std::set<engine::aside_id> fed_over;  ///< rows of the store that are resolved, not yet there
    std::set<std::string> held_keys;      ///< since when they were looked at
    std::map<std::string, time_point> succeeded_at;  ///< by key, in this process
    std::set<std::size_t> failed_targets;            ///< without a success since
    std::uint32_t parked_in_row = 0;                 ///< without a success, in this process
    std::size_t most_at_once = 0;

    // As the last look at the engine left it: until time reaches `quiet_until`, or something
    // happens, the engine has nothing for this sink.
    bool full = false;
    time_point quiet_until{};

    void forget_process() {
        wire.clear();
        over.clear();
        open.clear();
        fed_over.clear();
        held_keys.clear();
        succeeded_at.clear();
        failed_targets.clear();
        parked_in_row = 0;
        full = false;
    }
};

}  // namespace walrelay::simulation
