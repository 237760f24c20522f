// What follows from an outcome. The one place where that is decided.
#pragma once

#include <cstddef>
#include <cstdint>

#include "walrelay/core/backoff.hpp"
#include "walrelay/core/clock.hpp"
#include "walrelay/engine/outcome.hpp"

namespace walrelay::engine {

/// So many different lanes that fail in a row, without a success between, are the sink's fault.
inline constexpr std::size_t lanes_to_blame_a_sink = 5;

/// `retry:` of the sink map. 0: failures that may pass are retried for ever.
struct retry_limits {
    std::uint32_t max_attempts = 0;
    duration max_age{};
};

/// What is known of the delivery that the outcome is about.
struct attempt_history {
    std::uint32_t lane_failures = 0;    ///< of its lane in a row, this one included
    std::uint32_t target_failures = 0;  ///< of its topic or URL in a row, this one included
    std::uint32_t sink_failures = 0;    ///< of its sink in a row, this one included
    std::uint32_t refusals = 0;         ///< times that this event was refused, this one included
    std::uint32_t failing_lanes = 0;  ///< that failed in a row without a success between, this one
                                      ///< included
    std::uint32_t parked_in_row = 0;  ///< events of its sink, without a success between
    bool sent_alone = false;          ///< nothing else of the sink was in flight with it
    bool retries_spent = false;       ///< retry_limits don't allow another attempt
    bool halts = false;               ///< the policy of its route
};

/// Scope follows evidence, not the code alone.
struct directive {
    enum class kind : std::uint8_t {
        resolve,       ///< delivered
        retry_lane,    ///< the lane waits for `wait`
        stall_target,  ///< the topic or URL waits for `wait`, the sink's others go on
        stall_sink,    ///< the sink waits for `wait`
        retry_alone,   ///< the sink sends one record at a time until this one is resolved
        give_up,       ///< an event error: the policy of its route says what becomes of it
    };

    kind what = kind::stall_sink;
    duration wait{};
};

/// Pure. Waits grow to 60 s with full jitter; an event that is refused though a retry might help is
/// tried three times over ten seconds. A sink that refuses twenty events in a row is to blame, not
/// the events; so is one where five different lanes fail.
[[nodiscard]] directive decide(const outcome& seen, const attempt_history& history,
                               std::uint64_t random);

/// For metrics and logs: "transient", "target", "endpoint", "event" or "unknown".
[[nodiscard]] const char* class_name(outcome_class what) noexcept;

}  // namespace walrelay::engine
