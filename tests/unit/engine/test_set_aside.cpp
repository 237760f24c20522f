#include <vector>

#include "support/catch.hpp"
#include "walrelay/engine/engine.hpp"

using namespace walrelay;
using namespace std::chrono_literals;
using engine::aside_state;
using engine::lane_depth;
using engine::lane_key;
using engine::outcome;
using engine::outcome_class;
using policy = config::error_policy;

namespace {

constexpr time_point start{1h};
const outcome delivered{outcome_class::delivered};
const outcome failed{outcome_class::transient, "HTTP 500"};
const outcome refused{outcome_class::event_final, "too large"};

/// An engine with one HTTP sink, in the middle of a transaction.
struct bench {
    explicit bench(engine::aside_start known = {}, engine::engine_options with = options())
        : decisions{with} {
        decisions.stream_started(lsn{100}, false, std::move(known), 10s, start);
        REQUIRE(decisions.begin(lsn{200}, 1));
    }

    static engine::engine_options options() {
        engine::engine_options made;
        made.sinks = {{lane_depth::serial, true}};
        made.hold = 10s;
        return made;
    }

    std::optional<engine::event_slot> add(std::uint64_t key, policy on_error = policy::park) {
        return add({0, key, 1, true, on_error});
    }

    std::optional<engine::event_slot> add_without_key() {
        return add({0, 0, 1, false, policy::park});
    }

    std::optional<engine::event_slot> add(const event::placement& to) {
        return decisions.add(10, {lsn{200}, next++, 0}, {&to, 1});
    }

    /// Ends the next attempt, of which there must be one.
    engine::event_slot end(const outcome& seen, time_point at = start) {
        const auto attempt = decisions.next(0, at);
        REQUIRE(attempt);
        decisions.attempt_ended(attempt->token, seen, at);
        return attempt->event;
    }

    template <class Request>
    Request asked(time_point at = start) {
        auto request = decisions.store_due(at);
        REQUIRE(request);
        REQUIRE(std::holds_alternative<Request>(*request));
        return std::get<Request>(std::move(*request));
    }

    void put_all(time_point at = start) {
        const auto request = asked<engine::put_request>(at);
        std::vector<engine::aside_put_answer> there;
        for (const auto& row : request.rows)
            there.push_back({++id, row.state});
        decisions.put_done(there);
    }

    engine::engine decisions;
    std::int32_t next = 0;
    engine::aside_id id = 0;
};

}  // namespace

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

const lane_key held_key{1, lane_key::kind::keyed};

/// Row 7 of the store, the only one of held_key, was read back and is ready.
struct read_back : bench {
    explicit read_back(std::uint64_t target) : bench{held()} {
        static_cast<void>(asked<engine::load_request>());
        decisions.feed({0, held_key, 7, {lsn{50}, 0, 0}, 0, 10, target});
        decisions.load_done();
    }

    static engine::aside_start held() {
        engine::aside_start known;
        known.lanes = {{0, held_key, false}};
        return known;
    }
};

TEST_CASE("a dead URL is forgotten once nothing waits for it any more, over a reconnect too",
          "[aside]") {
    const bool reconnects = GENERATE(false, true);
    read_back one{404};
    one.end({outcome_class::target, "HTTP 404"});
    REQUIRE(one.decisions.sink(0).stalls(5).size() == 1);
    // An operator drops the row: the next look into the store finds nothing.
    static_cast<void>(one.decisions.add_mark(10));
    static_cast<void>(one.asked<engine::mark_request>());
    const std::vector<engine::lane_ref> touched{{0, held_key}};
    one.decisions.mark_done(touched);
    static_cast<void>(one.asked<engine::load_request>());
    one.decisions.load_done();
    REQUIRE(one.decisions.sink(0).held_lanes() == 0);
    CHECK_FALSE(one.decisions.next(0, start));
    if (reconnects) {
        one.decisions.stream_lost();
        one.decisions.stream_started(lsn{100}, true, {}, 10s, start);
    }
    int looks = 0;
    for (time_point at = one.decisions.sink(0).wake_at(); at != never;
         at = one.decisions.sink(0).wake_at()) {
        REQUIRE((++looks < 5 && at < start + 5min));
        CHECK_FALSE(one.decisions.next(0, at));
    }
    CHECK(one.decisions.sink(0).stalls(5).empty());
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

TEST_CASE(
    "an event that is read again is not sent when the store says that it is parked, dropped "
    "or waits; one that was delivered is sent again",
    "[aside]") {
    engine::aside_start known;
    const auto state = GENERATE(aside_state::parked, aside_state::dropped, aside_state::held,
                                aside_state::delivered);
    known.entries = {{{lsn{200}, 0, 0}, std::uint16_t{0}, state, state == aside_state::held}};
    if (state == aside_state::held) known.lanes = {{0, {1, lane_key::kind::keyed}, false}};
    bench one{known};
    CHECK(one.add(1).has_value() == (state == aside_state::delivered));
}

TEST_CASE(
    "a held event that is sent from the store and refused for good is not sent again when it is "
    "read again",
    "[aside]") {
    const lane_key key{1, lane_key::kind::keyed};
    const bool parks = GENERATE(true, false);
    engine::aside_start known;
    known.lanes = {{0, key, false}};
    known.entries = {{{lsn{200}, 0, 0}, std::uint16_t{0}, aside_state::held, true}};
    bench one{known};
    static_cast<void>(one.asked<engine::load_request>());
    one.decisions.feed({0, key, 7, {lsn{200}, 0, 0}, 0, 10, 1});
    one.decisions.load_done();
    one.end(parks ? refused : delivered);
    static_cast<void>(one.asked<engine::change_request>());
    one.decisions.changes_done();
    static_cast<void>(one.asked<engine::load_request>());
    one.decisions.load_done();
    REQUIRE(one.decisions.sink(0).held_lanes() == 0);
    CHECK(one.add(1).has_value() == !parks);
}

TEST_CASE("a held key is live again only when a look into the store finds nothing", "[aside]") {
    engine::aside_start known;
    known.lanes = {{0, {1, lane_key::kind::keyed}, false}};
    bench one{known};
    static_cast<void>(one.add(1));  // queues behind what the store has
    CHECK_FALSE(one.decisions.next(0, start));
    one.put_all();
    static_cast<void>(one.asked<engine::load_request>());
    one.decisions.feed({0, {1, lane_key::kind::keyed}, 7, {lsn{50}, 0, 0}, 0, 10, 1});
    one.decisions.load_done();
    one.end(delivered);
    CHECK_FALSE(one.decisions.next(0, start));
    const auto changes = one.asked<engine::change_request>();
    CHECK(changes.rows.at(0).state == aside_state::delivered);
    one.decisions.changes_done();
    static_cast<void>(one.add(1));
    static_cast<void>(one.asked<engine::load_request>());
    one.decisions.load_done();  // nothing yet: one is on its way there
    CHECK(one.decisions.sink(0).held_lanes() == 1);
    CHECK_FALSE(one.decisions.next(0, start));
    one.put_all();
    static_cast<void>(one.asked<engine::load_request>());
    one.decisions.load_done();
    CHECK(one.decisions.sink(0).held_lanes() == 0);
    const auto live = one.add(1);
    CHECK(one.decisions.next(0, start)->event == live);
}

TEST_CASE("a held key that no room was left for waits for its turn behind the others", "[aside]") {
    engine::aside_start known;
    for (const std::uint64_t key : {1, 2})
        known.lanes.push_back({0, {key, lane_key::kind::keyed}, false});
    bench one{known};
    const auto first = one.asked<engine::load_request>();
    REQUIRE(first.lanes.size() == 2);
    one.decisions.feed({0, first.lanes[0].lane, 7, {lsn{50}, 0, 0}, 0, 10, 1});
    one.decisions.no_room({0, first.lanes[1].lane});
    one.decisions.load_done();
    CHECK(one.decisions.sink(0).held_lanes() == 2);
    CHECK(one.decisions.sink(0).loaded_lanes() == 1);
    const auto second = one.asked<engine::load_request>();
    REQUIRE(second.lanes.size() == 1);
    CHECK(second.lanes[0].lane == first.lanes[1].lane);
    CHECK(second.most_bytes == first.most_bytes - 10);
    one.decisions.load_done();
    CHECK(one.decisions.sink(0).held_lanes() == 1);
}

TEST_CASE("held keys of a URL that is dead make room for those of the others", "[aside]") {
    engine::aside_start known;
    for (const std::uint64_t key : {1, 2, 3})
        known.lanes.push_back({0, {key, lane_key::kind::keyed}, false});
    engine::engine_options with = bench::options();
    with.loaded_lanes = 2;
    bench one{known, with};
    const auto give = [&](const engine::load_request& asked, std::uint64_t target) {
        for (const engine::aside_load& lane : asked.lanes) {
            const auto key = static_cast<engine::aside_id>(lane.lane.value);
            one.decisions.feed({0, lane.lane, key, {lsn{50}, 0, 0}, 0, 10, target});
        }
        one.decisions.load_done();
    };
    const auto first = one.asked<engine::load_request>();
    REQUIRE(first.lanes.size() == 2);
    give(first, 404);
    one.end({outcome_class::target, "HTTP 404"});
    CHECK_FALSE(one.decisions.next(0, start));  // the second is behind the first
    const auto second = one.asked<engine::load_request>();
    REQUIRE(second.lanes.size() == 1);
    CHECK(second.lanes[0].lane.value == 3);
    give(second, 200);
    one.end(delivered);
    static_cast<void>(one.asked<engine::change_request>());
    one.decisions.changes_done();
    // Those that left come again when the URL may be tried.
    CHECK(one.decisions.sink(0).wake_at() > start);
    CHECK(one.decisions.sink(0).wake_at() <= start + 1min);
}

TEST_CASE("one sink's held keys leave the others' their share of the memory", "[aside]") {
    engine::aside_start known;
    for (const std::uint64_t key : {1, 2, 3, 4})
        known.lanes.push_back({0, {key, lane_key::kind::keyed}, false});
    known.lanes.push_back({1, {9, lane_key::kind::keyed}, false});
    engine::engine_options with = bench::options();
    with.sinks.push_back(with.sinks.front());
    with.in_flight_bytes = 100;
    bench one{known, with};
    one.decisions.set_paused(1, true);
    const auto first = one.asked<engine::load_request>();
    for (const engine::aside_load& lane : first.lanes) {
        CHECK(lane.sink == 0);
        one.decisions.feed({0, lane.lane, 7, {lsn{50}, 0, 0}, 0, 30, 1});
    }
    one.decisions.load_done();
    one.decisions.set_paused(1, false);
    const auto second = one.asked<engine::load_request>();
    REQUIRE(second.lanes.size() == 1);
    CHECK(second.lanes[0].sink == 1);
    CHECK(second.most_bytes == 50);
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

TEST_CASE("a redrive waits while what became of its event before is not known to be durable",
          "[aside]") {
    read_back one{1};
    one.end(refused);
    static_cast<void>(one.decisions.add_mark(10));
    static_cast<void>(one.asked<engine::change_request>());
    one.decisions.store_failed(start);  // it may be durable: the mark would find it parked
    static_cast<void>(one.asked<engine::change_request>(start + 1s));
    one.decisions.changes_done();
    static_cast<void>(one.asked<engine::mark_request>(start + 1s));
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
