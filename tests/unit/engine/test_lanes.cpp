#include "support/catch.hpp"
#include "walrelay/engine/engine.hpp"

using namespace walrelay;
using namespace std::chrono_literals;
using engine::lane_depth;
using engine::outcome;
using engine::outcome_class;

namespace {

constexpr time_point start{1h};
const outcome delivered{outcome_class::delivered};
const outcome transient{outcome_class::transient, "HTTP 503"};

/// An engine with one sink, and a transaction that is being read.
struct bench {
    explicit bench(lane_depth depth) : decisions{options(depth)} {
        decisions.stream_started(lsn{100}, false, {}, 10s, start);
        REQUIRE(decisions.begin(lsn{200}, 1));
    }

    engine::event_slot add(std::uint64_t key, std::uint64_t target = 1, bool keyed = true,
                           config::error_policy on_error = config::error_policy::halt) {
        const event::placement to{0, key, target, keyed, on_error};
        const stream_place place{lsn{200}, next++, 0};
        return *decisions.add(10, place, {&to, 1});
    }

    static engine::engine_options options(lane_depth depth) {
        engine::engine_options made;
        made.sinks = {{depth, false}};
        made.in_flight_events = made.replay_events = 1000;
        made.in_flight_bytes = 1 << 20;
        made.seed = 7;
        return made;
    }

    engine::engine decisions;
    std::int32_t next = 0;
};

}  // namespace

TEST_CASE("over HTTP the next event of a key is sent when the last is resolved, other keys at once",
          "[lanes]") {
    bench one{lane_depth::serial};
    const auto first = one.add(1);
    const auto second = one.add(1);
    const auto other = one.add(2);
    const auto a = one.decisions.next(0, start);
    const auto b = one.decisions.next(0, start);
    REQUIRE((a && b));
    CHECK(a->event == first);
    CHECK(b->event == other);
    CHECK_FALSE(one.decisions.next(0, start));
    one.decisions.attempt_ended(a->token, delivered, start);
    CHECK(one.decisions.next(0, start)->event == second);
}

TEST_CASE("a key that fails waits and keeps its order while others go on", "[lanes]") {
    bench one{lane_depth::serial};
    const auto first = one.add(1);
    static_cast<void>(one.add(1));
    const auto a = one.decisions.next(0, start);
    one.decisions.attempt_ended(a->token, transient, start);
    const auto other = one.add(2);
    CHECK(one.decisions.next(0, start)->event == other);
    CHECK_FALSE(one.decisions.next(0, start));
    const auto again = one.decisions.next(0, start + 1s);
    REQUIRE(again);
    CHECK(again->event == first);
    CHECK(again->number == 2);
}

TEST_CASE("after a failure Kafka gets the failed record and all behind it again, in order",
          "[lanes]") {
    bench one{lane_depth::pipelined};
    const auto first = one.add(1);
    const auto second = one.add(1);
    const auto third = one.add(1);
    const auto a = one.decisions.next(0, start);
    const auto b = one.decisions.next(0, start);
    const auto c = one.decisions.next(0, start);
    REQUIRE((a && b && c));
    one.decisions.attempt_ended(a->token, transient, start);
    CHECK_FALSE(one.decisions.next(0, start + 1min));  // its successors are on the wire
    one.decisions.attempt_ended(b->token, delivered, start);
    one.decisions.attempt_ended(c->token, delivered, start);
    CHECK_FALSE(one.decisions.any_released());

    const auto again = one.decisions.next(0, start + 1min);
    REQUIRE(again);
    CHECK(again->event == first);
    CHECK_FALSE(one.decisions.next(0, start + 1min));  // alone, until it is delivered
    one.decisions.attempt_ended(again->token, delivered, start + 1min);
    CHECK(one.decisions.next(0, start + 1min)->event == second);
    CHECK(one.decisions.next(0, start + 1min)->event == third);
}

TEST_CASE("a topic that doesn't exist stalls alone, and is probed with one record", "[lanes]") {
    bench one{lane_depth::pipelined};
    const auto lost = one.add(1, 7);
    const auto a = one.decisions.next(0, start);
    one.decisions.attempt_ended(a->token, {outcome_class::target, "unknown topic"}, start);
    static_cast<void>(one.add(2, 7));
    const auto other = one.add(3, 8);
    CHECK(one.decisions.next(0, start)->event == other);
    CHECK_FALSE(one.decisions.next(0, start));
    CHECK(one.decisions.sink(0).stalled());

    const auto probe = one.decisions.next(0, start + 1min);
    REQUIRE(probe);
    CHECK_FALSE(one.decisions.next(0, start + 1min));
    one.decisions.attempt_ended(probe->token, delivered, start + 1min);
    CHECK_FALSE(one.decisions.sink(0).stalled());
    CHECK(one.decisions.next(0, start + 1min).has_value());
    CHECK(lost == a->event);
}

TEST_CASE(
    "a probe that the full sink sent back stays ahead of the records behind it when its topic "
    "opens",
    "[lanes]") {
    bench one{lane_depth::pipelined};
    static_cast<void>(one.add(3, 7, false));
    static_cast<void>(one.add(4, 7, false));
    const auto fails = one.decisions.next(0, start);
    const auto late = one.decisions.next(0, start);
    REQUIRE((fails && late));
    one.decisions.attempt_ended(fails->token, {outcome_class::target, "unknown topic"}, start);
    const auto first = one.add(1, 7);
    const auto second = one.add(1, 7);
    REQUIRE_FALSE(one.decisions.next(0, start));

    const auto probe = one.decisions.next(0, start + 1min);
    REQUIRE(probe);
    REQUIRE(probe->event == first);
    one.decisions.sent_back(probe->token);
    one.decisions.attempt_ended(late->token, delivered, start + 1min);
    REQUIRE_FALSE(one.decisions.sink(0).stalled());
    const auto again = one.decisions.next(0, start + 1min);
    REQUIRE(again);
    CHECK(again->event == first);
    const auto behind = one.decisions.next(0, start + 1min);
    REQUIRE(behind);
    CHECK(behind->event == second);
}

TEST_CASE("a sink that was full and then stalls is tried again when its wait is over", "[lanes]") {
    bench one{lane_depth::pipelined};
    static_cast<void>(one.add(1));
    static_cast<void>(one.add(2));
    const auto sent = one.decisions.next(0, start);
    const auto no_room = one.decisions.next(0, start);
    REQUIRE((sent && no_room));
    one.decisions.sent_back(no_room->token);
    one.decisions.attempt_ended(sent->token, {outcome_class::endpoint, "HTTP 401"}, start);
    REQUIRE_FALSE(one.decisions.next(0, start));
    const time_point wake = one.decisions.sink(0).wake_at();
    REQUIRE(wake != never);
    CHECK(one.decisions.next(0, wake));
}

TEST_CASE("while a refused batch is looked into, a stalled sink asks for no wake-up in the past",
          "[lanes]") {
    bench one{lane_depth::pipelined};
    for (std::uint64_t key = 1; key <= 4; ++key)
        static_cast<void>(one.add(key));
    const auto a = one.decisions.next(0, start);
    const auto b = one.decisions.next(0, start);
    const auto c = one.decisions.next(0, start);
    REQUIRE((a && b && c));
    one.decisions.attempt_ended(a->token, {outcome_class::batch, "message too large"}, start);
    one.decisions.attempt_ended(b->token, {outcome_class::endpoint, "not authorized"}, start);
    const time_point later = start + 1min;
    CHECK_FALSE(one.decisions.next(0, later));  // c is on the wire
    CHECK(one.decisions.sink(0).wake_at() > later);
    one.decisions.attempt_ended(c->token, delivered, later);
    CHECK(one.decisions.next(0, later));
}

TEST_CASE("an endpoint that refuses us stalls the sink, and one attempt at a time probes it",
          "[lanes]") {
    bench one{lane_depth::serial};
    for (std::uint64_t key = 1; key <= 5; ++key)
        static_cast<void>(one.add(key, key));
    const auto a = one.decisions.next(0, start);
    one.decisions.attempt_ended(a->token, {outcome_class::endpoint, "HTTP 401"}, start);
    CHECK_FALSE(one.decisions.next(0, start).has_value());
    const auto probe = one.decisions.next(0, start + 1min);
    REQUIRE(probe);
    CHECK_FALSE(one.decisions.next(0, start + 1min));
    one.decisions.attempt_ended(probe->token, delivered, start + 1min);
    CHECK(one.decisions.next(0, start + 1min).has_value());
    CHECK(one.decisions.next(0, start + 1min).has_value());
}

TEST_CASE("a sink that was made anew is probed at once, and so are its topics", "[lanes]") {
    bench one{lane_depth::serial};
    for (std::uint64_t key = 1; key <= 5; ++key)
        static_cast<void>(one.add(key, key));
    const auto a = one.decisions.next(0, start);
    one.decisions.attempt_ended(a->token, {outcome_class::endpoint, "HTTP 401"}, start);
    CHECK_FALSE(one.decisions.next(0, start));
    one.decisions.probe_now(0, start);
    CHECK(one.decisions.wake_at() <= start);
    const auto probe = one.decisions.next(0, start);
    REQUIRE(probe);
    CHECK_FALSE(one.decisions.next(0, start));  // one alone
    one.decisions.attempt_ended(probe->token, {outcome_class::target, "HTTP 404"}, start);
    while (const auto other = one.decisions.next(0, start))
        one.decisions.attempt_ended(other->token, delivered, start);
    REQUIRE(one.decisions.sink(0).stalled());
    one.decisions.probe_now(0, start);
    CHECK(one.decisions.next(0, start));
}

TEST_CASE("a record that is refused alone halts the relay by name", "[lanes]") {
    bench one{lane_depth::pipelined};
    const auto bad = one.add(1);
    static_cast<void>(one.add(2));
    const auto a = one.decisions.next(0, start);
    const auto b = one.decisions.next(0, start);
    one.decisions.attempt_ended(a->token, {outcome_class::batch, "message too large"}, start);
    one.decisions.attempt_ended(b->token, {outcome_class::batch, "message too large"}, start);
    time_point now = start;
    for (int i = 0; i < 10 && !one.decisions.halted(); ++i) {
        now += 1min;
        const auto alone = one.decisions.next(0, now);
        REQUIRE(alone);
        REQUIRE_FALSE(one.decisions.next(0, now));
        one.decisions.attempt_ended(
            alone->token,
            alone->event == bad ? outcome{outcome_class::batch, "message too large"} : delivered,
            now);
    }
    REQUIRE(one.decisions.halted());
    CHECK(one.decisions.halted()->event == bad);
    CHECK(one.decisions.halted()->reason == "message too large");
    CHECK_FALSE(one.decisions.next(0, now + 1h));
}

TEST_CASE("a record that is refused alone while the sink refuses all is sent alone again",
          "[lanes]") {
    bench one{lane_depth::pipelined};
    const auto park = config::error_policy::park;
    for (std::uint64_t key = 1; key <= 20; ++key) {
        static_cast<void>(one.add(key, 1, true, park));
        const auto refused = one.decisions.next(0, start);
        one.decisions.attempt_ended(refused->token, {outcome_class::event_final, "no"}, start);
    }
    const auto first = one.add(31);
    const auto of_batch = one.decisions.next(0, start);
    one.decisions.attempt_ended(of_batch->token, {outcome_class::batch, "no"}, start);
    const auto bad = one.add(33, 1, true, park);
    const auto alone = one.decisions.next(0, start);
    REQUIRE((alone && alone->event == bad));
    one.decisions.attempt_ended(alone->token, {outcome_class::batch, "no"}, start);
    REQUIRE(one.decisions.sink(0).stalled());

    const auto down = one.decisions.next(0, start + 1h);
    REQUIRE((down && down->event == bad));
    one.decisions.attempt_ended(down->token, {outcome_class::endpoint, "no right"}, start + 1h);
    const time_point later = start + 2h;
    const auto probe = one.decisions.next(0, later);
    REQUIRE((probe && probe->event == first));
    one.decisions.attempt_ended(probe->token, delivered, later);
    static_cast<void>(one.add(34));
    const auto again = one.decisions.next(0, later);
    REQUIRE((again && again->event == bad));
    CHECK_FALSE(one.decisions.next(0, later));
    one.decisions.attempt_ended(again->token, delivered, later);
    CHECK(one.decisions.next(0, later));
}

TEST_CASE("a record of a refused batch whose topic is gone holds up no other topic", "[lanes]") {
    bench one{lane_depth::pipelined};
    for (const std::uint64_t key : {1, 1, 2})
        static_cast<void>(one.add(key, 404));
    std::vector<engine::attempt_token> batch;
    while (const auto sent = one.decisions.next(0, start))
        batch.push_back(sent->token);
    REQUIRE(batch.size() == 3);
    for (const engine::attempt_token& sent : batch)
        one.decisions.attempt_ended(sent, {outcome_class::batch, "no"}, start);
    const time_point later = start + 1min;
    const auto alone = one.decisions.next(0, later);
    one.decisions.attempt_ended(alone->token, {outcome_class::target, "no topic"}, later);
    for (const std::uint64_t key : {3, 4})
        static_cast<void>(one.add(key));
    CHECK(one.decisions.next(0, later));
    CHECK(one.decisions.next(0, later));
    CHECK_FALSE(one.decisions.next(0, later));
}

TEST_CASE("a full sink gets the same record first when it has room", "[lanes]") {
    bench one{lane_depth::pipelined};
    const auto first = one.add(1);
    static_cast<void>(one.add(2));
    const auto a = one.decisions.next(0, start);
    one.decisions.sent_back(a->token);
    const auto again = one.decisions.next(0, start);
    CHECK(again->event == first);
    CHECK(again->number == 1);
}

TEST_CASE("while a sink has no room no clock wakes its retries", "[lanes]") {
    bench one{lane_depth::serial};
    static_cast<void>(one.add(1));
    const auto a = one.decisions.next(0, start);
    one.decisions.attempt_ended(a->token, transient, start);
    const auto retry = one.decisions.sink(0).wake_at();
    REQUIRE(retry > start);
    one.decisions.set_room(0, false);
    CHECK((one.decisions.sink(0).wake_at() == never));
    one.decisions.set_room(0, true);
    CHECK((one.decisions.sink(0).wake_at() == retry));
}

TEST_CASE("when the stream ends only attempts on the wire are kept, and their outcome frees them",
          "[lanes]") {
    bench one{lane_depth::serial};
    static_cast<void>(one.add(1));
    static_cast<void>(one.add(1));
    const auto a = one.decisions.next(0, start);
    one.decisions.stream_lost();
    CHECK(one.decisions.take_released().size() == 1);
    CHECK(one.decisions.in_flight() == 1);
    one.decisions.attempt_ended(a->token, delivered, start);
    CHECK(one.decisions.take_released().size() == 1);
    CHECK(one.decisions.in_flight() == 0);
    CHECK(one.decisions.units().safe() == lsn{100});
}
