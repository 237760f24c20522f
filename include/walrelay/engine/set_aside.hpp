// Events that leave the way of the others: what is written of them, and what is read back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "walrelay/core/stream_place.hpp"
#include "walrelay/engine/delivery.hpp"
#include "walrelay/engine/lane_key.hpp"

namespace walrelay::engine {

/// walrelay.parked.state
enum class aside_state : std::uint8_t {
    parked,     ///< refused for good: waits for an operator
    held,       ///< waits for its turn: of a key that is stuck, or sent again on request
    delivered,  ///< was parked or held, and has arrived since
    dropped,    ///< given up by an operator
};

/// One event for one sink, to be written. `event` is kept until that is durable.
struct aside_put {
    event_slot event = 0;
    delivery_index delivery = no_delivery;  ///< none: no route takes the event
    std::uint16_t sink = 0;                 ///< meaningful with a delivery
    lane_key lane;                          ///< likewise
    aside_state state = aside_state::parked;
    bool holds_key = false;  ///< later events of its key wait behind it
    std::uint32_t attempts = 0;
    std::string reason;
};

/// What became of a row that was read back. Only a row that is still held is changed.
struct aside_change {
    aside_id id = 0;
    std::uint16_t sink = 0;
    lane_key lane;
    aside_state state = aside_state::delivered;
    bool holds_key = false;
    std::uint32_t attempts = 0;
    std::string reason;
};

/// The oldest rows of a lane that are held; none of them is in memory.
struct aside_load {
    std::uint16_t sink = 0;
    lane_key lane;
    std::uint32_t most_rows = 1;
};

struct put_request {
    std::vector<aside_put> rows;  ///< of each lane in the order of the stream
};

struct change_request {
    std::vector<aside_change> rows;
};

struct load_request {
    std::vector<aside_load> lanes;
    std::uint64_t most_bytes =
        0;  ///< of all of them; but one row always, of the first that has any
};

/// A row of walrelay.redrive: what it asks for is kept by the caller, under this slot.
struct mark_request {
    event_slot event = 0;
};

/// One at a time is given out, and answered before the next one.
using aside_request = std::variant<put_request, change_request, load_request, mark_request>;

/// What the store has of a row that was put. It may be there already, with another state than was
/// asked for: from a put whose outcome was unknown, or from before a restart.
struct aside_put_answer {
    aside_id id = 0;
    aside_state state = aside_state::parked;
};

/// A lane of which the store holds rows that wait.
struct held_lane {
    std::uint16_t sink = 0;
    lane_key lane;
    bool waits_for_operator = false;  ///< its oldest row is parked, and holds the key
};

/// The lane of a row of the store. `key`: the hash of its key, if it has one.
[[nodiscard]] inline lane_key lane_of_row(std::optional<std::uint64_t> key, aside_id id,
                                          bool holds_key) noexcept {
    if (!key) return {static_cast<std::uint64_t>(id), lane_key::kind::stored};
    return {*key, holds_key ? lane_key::kind::keyed : lane_key::kind::redriven};
}

/// A row of the store that was read back, to be sent.
struct aside_row {
    std::uint16_t sink = 0;
    lane_key lane;
    aside_id id = 0;
    stream_place place;
    std::uint32_t attempts = 0;  ///< of earlier tries
    std::size_t bytes = 0;
    std::uint64_t target_hash = 0;
    config::error_policy on_event_error = config::error_policy::park;
};

/// A row of the store whose place may be read again.
struct aside_entry {
    stream_place place;
    std::optional<std::uint16_t> sink;  ///< none: no route took it
    aside_state state = aside_state::parked;
    bool holds_key = false;
};

/// What the store holds when a stream starts.
struct aside_start {
    std::vector<held_lane> lanes;
    std::vector<aside_entry> entries;  ///< at or above the slot's position, ordered by place
};

}  // namespace walrelay::engine
