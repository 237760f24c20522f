#include "support/catch.hpp"
#include "walrelay/engine/engine.hpp"

using namespace walrelay;
using namespace std::chrono_literals;
using engine::full_limit;
using engine::lane_depth;

namespace {

constexpr time_point start{1h};
const engine::outcome delivered{engine::outcome_class::delivered};

struct streaming : engine::engine {
    streaming(std::uint64_t events, std::uint64_t bytes, std::uint64_t replay)
        : engine{options(events, bytes, replay)} {
        stream_started(lsn{100}, false, {}, 10s, start);
    }

    static walrelay::engine::engine_options options(std::uint64_t events, std::uint64_t bytes,
                                                    std::uint64_t replay) {
        walrelay::engine::engine_options made;
        made.sinks = {{lane_depth::pipelined, false}};
        made.in_flight_events = events;
        made.in_flight_bytes = bytes;
        made.replay_events = replay;
        return made;
    }
};

engine::event_slot add(engine::engine& decisions, std::size_t bytes = 10) {
    const event::placement to{0, 1, 1, false, config::error_policy::halt};
    return *decisions.add(bytes, stream_place{lsn{200}, 0, 0}, {&to, 1});
}

auto add_lost(engine::engine& decisions) {
    return decisions.add_unroutable(10, stream_place{lsn{200}, 1, 0}, "no route",
                                    config::error_policy::halt);
}

}  // namespace

TEST_CASE("reading pauses when events in memory reach their limit, and goes on below seven eighths",
          "[limits]") {
    streaming decisions{8, 1 << 20, 1000};
    static_cast<void>(decisions.begin(lsn{200}, 1));
    for (int i = 0; i < 8; ++i)
        static_cast<void>(add(decisions));
    CHECK_FALSE(decisions.wants_rows());
    CHECK(decisions.limit_reached() == full_limit::in_flight_events);
    const auto deliver_one = [&] {
        decisions.attempt_ended(decisions.next(0, start)->token, delivered, start);
    };
    deliver_one();
    CHECK_FALSE(decisions.wants_rows());
    deliver_one();
    CHECK(decisions.wants_rows());
}

TEST_CASE("reading pauses when bytes in memory reach their limit", "[limits]") {
    streaming decisions{1000, 100, 1000};
    static_cast<void>(decisions.begin(lsn{200}, 1));
    static_cast<void>(add(decisions, 99));
    CHECK(decisions.wants_rows());
    static_cast<void>(add(decisions, 50));
    CHECK_FALSE(decisions.wants_rows());
    CHECK(decisions.limit_reached() == full_limit::in_flight_bytes);
}

TEST_CASE("the transaction that is being read never counts against replay_events", "[limits]") {
    streaming decisions{1000, 1 << 20, 10};
    static_cast<void>(decisions.begin(lsn{200}, 1));
    for (int i = 0; i < 50; ++i) {
        static_cast<void>(add(decisions));
        decisions.attempt_ended(decisions.next(0, start)->token, delivered, start);
    }
    CHECK(decisions.wants_rows());
    decisions.commit(lsn{300});
    CHECK_FALSE(decisions.wants_rows());
    CHECK(decisions.limit_reached() == full_limit::replay_events);
    REQUIRE(decisions.record_due(start + 1s));
    decisions.recorded("1:1:", lsn{400});
    CHECK(decisions.wants_rows());
}

TEST_CASE("a transaction that the record covers is not sent again in part", "[limits]") {
    streaming decisions{1000, 1 << 20, 10};
    CHECK_FALSE(decisions.begin(lsn{99}, 1));
    decisions.commit(lsn{100});
    CHECK(decisions.begin(lsn{100}, 1));
}

TEST_CASE("memory follows what is unresolved, not the length of a transaction", "[limits]") {
    streaming decisions{100, 1 << 20, 10};
    static_cast<void>(decisions.begin(lsn{200}, 1));
    for (int i = 0; i < 100'000; ++i) {
        const auto slot = add(decisions);
        REQUIRE(slot < 100);
        decisions.attempt_ended(decisions.next(0, start)->token, delivered, start);
        static_cast<void>(decisions.take_released());
    }
    CHECK(decisions.units().entries() == 1);
}

TEST_CASE("a row that no route takes halts, and nothing behind it is safe", "[limits]") {
    streaming decisions{100, 1 << 20, 10};
    static_cast<void>(decisions.begin(lsn{200}, 1));
    const auto row = add_lost(decisions);
    decisions.commit(lsn{300});
    REQUIRE(decisions.halted());
    CHECK(decisions.halted()->event == row);
    CHECK_FALSE(decisions.halted()->sink);
    CHECK(decisions.units().safe() == lsn{100});
}

TEST_CASE("what stands before a row that no route takes is sent, and nothing behind it is read",
          "[limits]") {
    streaming decisions{100, 1 << 20, 10};
    static_cast<void>(decisions.begin(lsn{200}, 1));
    static_cast<void>(add(decisions));
    decisions.commit(lsn{300});
    static_cast<void>(decisions.begin(lsn{400}, 1));
    static_cast<void>(add_lost(decisions));
    REQUIRE(decisions.halted());
    CHECK_FALSE(decisions.wants_rows());
    const auto before = decisions.next(0, start);
    REQUIRE(before);
    decisions.attempt_ended(before->token, delivered, start);
    CHECK(decisions.units().safe() == lsn{300});

    SECTION("it comes again with the next stream, and halts again") {
        decisions.stream_lost();
        CHECK_FALSE(decisions.halted());
        decisions.stream_started(lsn{300}, true, {}, 10s, start);
        CHECK(decisions.wants_rows());
    }
}

TEST_CASE("a refusal by a sink ends all sending, also of what stands before an unroutable row",
          "[limits]") {
    streaming decisions{100, 1 << 20, 10};
    static_cast<void>(decisions.begin(lsn{200}, 1));
    static_cast<void>(add(decisions));
    const auto refused = add(decisions);
    static_cast<void>(add(decisions));
    static_cast<void>(add_lost(decisions));
    const auto first = decisions.next(0, start);
    const auto second = decisions.next(0, start);
    REQUIRE((first && second));
    decisions.attempt_ended(first->token, delivered, start);
    decisions.attempt_ended(second->token, {engine::outcome_class::event_final, "no"}, start);
    CHECK(decisions.halted()->event == refused);
    CHECK(decisions.halted()->sink);
    CHECK_FALSE(decisions.next(0, start));
    CHECK_FALSE(decisions.wants_rows());  // nothing behind the unroutable row either
}
