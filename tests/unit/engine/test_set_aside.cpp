// Into the store.
#include "set_aside_bench.hpp"

using namespace walrelay;
using namespace walrelay::set_aside;

TEST_CASE("a refused event is resolved only when it is durable in the store", "[aside]") {
    bench one;
    static_cast<void>(one.add(1));
    one.decisions.commit(lsn{300});
    one.end(refused);
    CHECK(one.decisions.units().safe() == lsn{100});
    static_cast<void>(one.asked<engine::put_request>());
    CHECK(one.decisions.units().safe() == lsn{100});
    one.decisions.store_failed(start);
    CHECK_FALSE(one.decisions.store_due(start));  // not at once
    one.put_all(start + 1s);
    CHECK(one.decisions.units().safe() == lsn{300});
}

TEST_CASE("with park the key goes on, with park_key it waits behind the parked event", "[aside]") {
    bench one;
    const policy chosen = GENERATE(policy::park, policy::park_key);
    static_cast<void>(one.add(1, chosen));
    static_cast<void>(one.add(1, chosen));
    one.end(refused);
    CHECK(one.decisions.next(0, start).has_value() == (chosen == policy::park));
    const auto request = one.asked<engine::put_request>();
    CHECK(request.rows.size() == (chosen == policy::park ? 1 : 2));
    CHECK(request.rows[0].state == aside_state::parked);
    CHECK(request.rows[0].holds_key == (chosen == policy::park_key));
    if (chosen == policy::park_key) CHECK(request.rows[1].state == aside_state::held);
}

TEST_CASE("a key that fails for long while others flow is set aside, head first", "[aside]") {
    bench one;
    static_cast<void>(one.add(1));
    static_cast<void>(one.add(1));
    one.end(failed);
    for (time_point at = start + 1s; at < start + 30s && one.decisions.store().empty(); at += 1s) {
        static_cast<void>(one.add(2));
        while (const auto attempt = one.decisions.next(0, at)) {
            const bool stuck = one.decisions.delivery_at(attempt->token.slot).lane_of.value == 1;
            one.decisions.attempt_ended(attempt->token, stuck ? failed : delivered, at);
        }
    }
    const auto request = one.asked<engine::put_request>(start + 30s);
    REQUIRE(request.rows.size() == 2);
    CHECK(request.rows[0].state == aside_state::held);
    CHECK(request.rows[0].reason == "HTTP 500");
}

/// Three events of each of two keys, more than half of what a crash may repeat.
struct draining : bench {
    draining() : bench{{}, with_replay_events(6)} {
        for (const std::uint64_t key : {1, 2, 1, 2, 1, 2})
            static_cast<void>(add(key));
        decisions.commit(lsn{300});
    }

    static engine::engine_options with_replay_events(std::uint64_t count) {
        engine::engine_options made = options();
        made.replay_events = count;
        return made;
    }
};

TEST_CASE("a key whose turn it is in a fast drain is not set aside, one that is slow is",
          "[aside]") {
    const auto takes = GENERATE(2ms, 500ms);
    draining one;
    const auto oldest = one.decisions.next(0, start);
    const auto other = one.decisions.next(0, start);
    REQUIRE((oldest && other));
    one.decisions.attempt_ended(other->token, delivered, start + takes / 2);
    one.decisions.attempt_ended(oldest->token, delivered, start + takes);
    CHECK(one.decisions.store().empty() == (takes == 2ms));
}

TEST_CASE("a slow key beside events without a key is set aside, and its row says why", "[aside]") {
    bench one{{}, draining::with_replay_events(4)};
    static_cast<void>(one.add(1));
    static_cast<void>(one.add(1));
    static_cast<void>(one.add_without_key());
    static_cast<void>(one.add_without_key());
    one.decisions.commit(lsn{300});
    const auto oldest = one.decisions.next(0, start);
    const auto other = one.decisions.next(0, start);
    REQUIRE((oldest && other));
    one.decisions.attempt_ended(other->token, delivered, start + 1ms);
    one.decisions.attempt_ended(oldest->token, delivered, start + 500ms);
    const auto request = one.asked<engine::put_request>(start + 500ms);
    REQUIRE(request.rows.size() == 1);
    CHECK(request.rows[0].state == aside_state::held);
    CHECK(request.rows[0].reason.find("slower than others") == 0);
}

TEST_CASE("a key that fails once in a fast drain is not set aside if it is fast the next time",
          "[aside]") {
    draining one;
    const auto oldest = one.decisions.next(0, start);
    const auto other = one.decisions.next(0, start);
    REQUIRE((oldest && other));
    one.decisions.attempt_ended(oldest->token, failed, start);
    one.decisions.attempt_ended(other->token, delivered, start + 1ms);
    const auto beside = one.decisions.next(0, start + 1ms);
    const auto again = one.decisions.next(0, start + 1ms);  // at once, as it holds up the rest
    REQUIRE((again && again->number == 2 && beside));
    one.decisions.attempt_ended(beside->token, delivered, start + 2ms);
    one.decisions.attempt_ended(again->token, delivered, start + 3ms);
    CHECK(one.decisions.store().empty());
}

TEST_CASE("of a URL that is dead the oldest key is set aside early only where it holds up the rest",
          "[aside]") {
    const outcome gone{outcome_class::target, "HTTP 404"};
    const bool holds_up = GENERATE(true, false);
    bench one{{}, draining::with_replay_events(holds_up ? 4 : 100)};
    static_cast<void>(one.add({0, 1, 404, true, policy::park}));
    for (int i = 0; i < 3; ++i)
        static_cast<void>(one.add(2));
    one.decisions.commit(lsn{300});
    const engine::event_slot dead = one.end(gone);
    CHECK(one.decisions.store().empty());
    one.end(delivered, start + 1ms);
    const time_point probed = one.decisions.sink(0).wake_at();
    REQUIRE(probed < start + 10s);  // before a key is held for its failures' age
    const auto other = one.decisions.next(0, start + 2ms);
    REQUIRE(other);
    one.decisions.attempt_ended(other->token, delivered, start + 2ms);
    CHECK(one.end(gone, probed) == dead);
    REQUIRE(one.decisions.store().empty() == !holds_up);
    if (holds_up) CHECK(one.asked<engine::put_request>(probed).rows.at(0).reason == "HTTP 404");
}

TEST_CASE("in an outage of the whole sink nothing is set aside, however long it lasts", "[aside]") {
    bench one;
    for (std::uint64_t key = 0; key < 20; ++key)
        static_cast<void>(one.add(key));
    one.end(delivered);
    for (time_point at = start + 1s; at < start + 10min; at += 1s) {
        while (const auto attempt = one.decisions.next(0, at))
            one.decisions.attempt_ended(attempt->token, failed, at);
    }
    CHECK(one.decisions.store().empty());
    CHECK(one.decisions.sink(0).stalled());
}

TEST_CASE("an event without a key waits in the store as long as it would have waited", "[aside]") {
    bench one;
    const event::placement alone{0, 0, 1, false, policy::park};
    REQUIRE(one.decisions.add(10, {lsn{200}, one.next++, 0}, {&alone, 1}));
    time_point at = start;
    for (; one.decisions.store().empty(); at += 1s) {
        REQUIRE(at < start + 2min);
        static_cast<void>(one.add(2));
        while (const auto attempt = one.decisions.next(0, at)) {
            const bool keyed = one.decisions.delivery_at(attempt->token.slot).keyed();
            outcome slow = failed;
            slow.retry_after = 60s;
            one.decisions.attempt_ended(attempt->token, keyed ? delivered : slow, at);
        }
    }
    one.put_all(at);
    CHECK(one.decisions.sink(0).held_lanes() == 1);
    CHECK_FALSE(one.decisions.store_due(at));
    CHECK_FALSE(one.decisions.next(0, at + 61s));
    static_cast<void>(one.asked<engine::load_request>(at + 61s));
}

TEST_CASE("a paused sink gets nothing and its wake-ups rest", "[aside]") {
    bench one;
    static_cast<void>(one.add(1));
    one.decisions.set_paused(0, true);
    CHECK_FALSE(one.decisions.next(0, start));
    CHECK((one.decisions.sink(0).wake_at() == never));
    one.decisions.set_paused(0, false);
    CHECK(one.decisions.next(0, start));
}
