// What follows from an outcome. The one place where that is decided.
#pragma once

#include <cstdint>

#include "walrelay/core/backoff.hpp"
#include "walrelay/core/clock.hpp"
#include "walrelay/engine/outcome.hpp"

namespace walrelay::engine {

/// What is known of the delivery that the outcome is about.
struct attempt_history {
    std::uint32_t lane_failures = 0;    ///< of its lane in a row, this one included
    std::uint32_t target_failures = 0;  ///< of its topic or URL in a row, this one included
    std::uint32_t sink_failures = 0;    ///< of its sink in a row, this one included
    std::uint32_t refusals = 0;         ///< times that this event was refused, this one included
    bool sent_alone = false;            ///< nothing else of the sink was in flight with it
};

/// Scope follows evidence, not the code alone.
struct directive {
    enum class kind : std::uint8_t {
        resolve,       ///< delivered
        retry_lane,    ///< the lane waits for `wait`
        stall_target,  ///< the topic or URL waits for `wait`, the sink's others go on
        stall_sink,    ///< the sink waits for `wait`
        retry_alone,   ///< the sink sends one record at a time until this one is resolved
        halt,          ///< nothing more is sent; the event is named
    };

    kind what = kind::stall_sink;
    duration wait{};
};

/// Pure. Waits grow to 60 s with full jitter; an event that is refused though a retry might help is
/// tried three times over ten seconds.
[[nodiscard]] directive decide(const outcome& seen, const attempt_history& history,
                               std::uint64_t random);

/// For metrics and logs: "transient", "target", "endpoint", "event" or "unknown".
[[nodiscard]] const char* class_name(outcome_class what) noexcept;

}  // namespace walrelay::engine
