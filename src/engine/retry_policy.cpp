#include "walrelay/engine/retry_policy.hpp"

#include <algorithm>

#include "walrelay/core/planted.hpp"

namespace walrelay::engine {

namespace {

constexpr backoff growing{std::chrono::milliseconds{200}, std::chrono::seconds{60}};
constexpr std::uint32_t refusals_max = 3;
constexpr duration between_refusals = std::chrono::seconds{5};
constexpr std::uint32_t refused_events_to_blame_a_sink = 20;

/// The wait that was asked for, or our own where that is longer.
duration at_least(const outcome& seen, duration wait) {
    if (!seen.retry_after) return wait;
    return std::max<duration>(wait, *seen.retry_after);
}

directive stall_sink(const outcome& seen, const attempt_history& history, std::uint64_t random) {
    return {directive::kind::stall_sink,
            at_least(seen, growing.wait(history.sink_failures, random))};
}

/// A receiver that refuses everything must not empty the outbox into the store.
bool refuses_all(const attempt_history& history) {
    return history.parked_in_row >= refused_events_to_blame_a_sink && !history.halts &&
           !planted(bug::breaker_never_trips);
}

directive give_up(const outcome& seen, const attempt_history& history, std::uint64_t random) {
    if (refuses_all(history)) return stall_sink(seen, history, random);
    return {directive::kind::give_up, {}};
}

}  // namespace

directive decide(const outcome& seen, const attempt_history& history, std::uint64_t random) {
    using kind = directive::kind;
    switch (seen.what) {
        case outcome_class::delivered:
            return {kind::resolve, {}};
        case outcome_class::transient:
            if (seen.retry_after && seen.hold_target) {
                return {kind::stall_target,
                        at_least(seen, growing.wait(history.target_failures, random))};
            }
            if (history.failing_lanes >= lanes_to_blame_a_sink)
                return stall_sink(seen, history, random);
            if (history.retries_spent || planted(bug::transient_error_parks))
                return give_up(seen, history, random);
            return {kind::retry_lane, at_least(seen, growing.wait(history.lane_failures, random))};
        case outcome_class::target:
            return {kind::stall_target,
                    at_least(seen, growing.wait(history.target_failures, random))};
        case outcome_class::event:
            if (refuses_all(history)) return stall_sink(seen, history, random);
            if (history.refusals >= refusals_max || planted(bug::first_refusal_parks))
                return give_up(seen, history, random);
            return {kind::retry_lane, at_least(seen, between_refusals)};
        case outcome_class::event_final:
            return give_up(seen, history, random);
        case outcome_class::batch:
            if (history.sent_alone || planted(bug::batch_blamed_on_record))
                return give_up(seen, history, random);
            return {kind::retry_alone, growing.wait(history.lane_failures, random)};
        case outcome_class::endpoint:
        case outcome_class::unknown:
            break;
    }
    if (planted(bug::unknown_error_dropped)) return {kind::resolve, {}};
    if (planted(bug::unknown_error_parks)) return {kind::give_up, {}};
    return stall_sink(seen, history, random);
}

const char* class_name(outcome_class what) noexcept {
    switch (what) {
        case outcome_class::delivered:
            return "delivered";
        case outcome_class::transient:
            return "transient";
        case outcome_class::target:
            return "target";
        case outcome_class::endpoint:
            return "endpoint";
        case outcome_class::event:
        case outcome_class::event_final:
        case outcome_class::batch:
            return "event";
        case outcome_class::unknown:
            break;
    }
    return "unknown";
}

}  // namespace walrelay::engine
