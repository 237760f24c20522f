#include "support/catch.hpp"
#include "walrelay/engine/retry_policy.hpp"

using namespace walrelay;
using namespace std::chrono_literals;
using engine::attempt_history;
using engine::decide;
using engine::outcome;
using engine::outcome_class;
using kind = engine::directive::kind;

TEST_CASE("each class of outcome has its scope", "[retry]") {
    attempt_history once;
    once.lane_failures = once.target_failures = once.sink_failures = once.refusals = 1;
    CHECK(decide(outcome{outcome_class::delivered}, once, 1).what == kind::resolve);
    CHECK(decide(outcome{outcome_class::transient}, once, 1).what == kind::retry_lane);
    CHECK(decide(outcome{outcome_class::target}, once, 1).what == kind::stall_target);
    CHECK(decide(outcome{outcome_class::endpoint}, once, 1).what == kind::stall_sink);
    CHECK(decide(outcome{outcome_class::unknown}, once, 1).what == kind::stall_sink);
    CHECK(decide(outcome{outcome_class::event_final}, once, 1).what == kind::give_up);
}

TEST_CASE("a refused event is tried three times over ten seconds before it is given up",
          "[retry]") {
    attempt_history refused;
    refused.refusals = 1;
    CHECK(decide(outcome{outcome_class::event}, refused, 1).what == kind::retry_lane);
    CHECK(decide(outcome{outcome_class::event}, refused, 1).wait == 5s);
    refused.refusals = 2;
    CHECK(decide(outcome{outcome_class::event}, refused, 1).what == kind::retry_lane);
    refused.refusals = 3;
    CHECK(decide(outcome{outcome_class::event}, refused, 1).what == kind::give_up);
}

TEST_CASE("a refused batch blames a record only if it was sent alone", "[retry]") {
    attempt_history one;
    CHECK(decide(outcome{outcome_class::batch}, one, 1).what == kind::retry_alone);
    one.sent_alone = true;
    CHECK(decide(outcome{outcome_class::batch}, one, 1).what == kind::give_up);
}

TEST_CASE("waits grow to a minute and are drawn evenly below that", "[retry]") {
    attempt_history often;
    often.lane_failures = 40;
    duration longest{};
    for (std::uint64_t random = 0; random < 1000; ++random) {
        const duration wait =
            decide(outcome{outcome_class::transient}, often, random * 0x9E3779B97F4A7C15ULL).wait;
        REQUIRE(wait >= 0s);
        REQUIRE(wait <= 60s);
        longest = std::max(longest, wait);
    }
    CHECK(longest > 50s);
    often.lane_failures = 1;
    CHECK(decide(outcome{outcome_class::transient}, often, ~0ULL).wait <= 200ms);
}

TEST_CASE("Retry-After is the least that is waited, and holds the target where it says so",
          "[retry]") {
    outcome busy{outcome_class::transient, "HTTP 503", 7s, true};
    CHECK(decide(busy, {}, 0).what == kind::stall_target);
    CHECK(decide(busy, {}, 0).wait == 7s);
    busy.hold_target = false;
    CHECK(decide(busy, {}, 0).what == kind::retry_lane);
    CHECK(decide(busy, {}, 0).wait == 7s);
}

TEST_CASE("five different lanes that fail in a row are the sink's fault", "[retry]") {
    attempt_history seen;
    seen.failing_lanes = 4;
    CHECK(decide(outcome{outcome_class::transient}, seen, 1).what == kind::retry_lane);
    seen.failing_lanes = 5;
    CHECK(decide(outcome{outcome_class::transient}, seen, 1).what == kind::stall_sink);
    CHECK(decide(outcome{outcome_class::delivered}, seen, 1).what == kind::resolve);
}

TEST_CASE("a sink that refuses twenty events in a row stalls instead of being believed",
          "[retry]") {
    attempt_history seen;
    seen.parked_in_row = 20;
    for (const auto what : {outcome_class::event, outcome_class::event_final})
        CHECK(decide(outcome{what}, seen, 1).what == kind::stall_sink);
    seen.sent_alone = true;
    CHECK(decide(outcome{outcome_class::batch}, seen, 1).what == kind::stall_sink);
    seen.halts = true;
    CHECK(decide(outcome{outcome_class::event_final}, seen, 1).what == kind::give_up);
}

TEST_CASE("limits of retries concern what may pass, and never the endpoint or what is unknown",
          "[retry]") {
    attempt_history spent;
    spent.retries_spent = true;
    CHECK(decide(outcome{outcome_class::transient}, spent, 1).what == kind::give_up);
    CHECK(decide(outcome{outcome_class::target}, spent, 1).what == kind::stall_target);
    CHECK(decide(outcome{outcome_class::endpoint}, spent, 1).what == kind::stall_sink);
    CHECK(decide(outcome{outcome_class::unknown}, spent, 1).what == kind::stall_sink);
    spent.failing_lanes = 5;
    CHECK(decide(outcome{outcome_class::transient}, spent, 1).what == kind::stall_sink);
}
