// Out of the store.
#include "set_aside_bench.hpp"

using namespace walrelay;
using namespace walrelay::set_aside;

TEST_CASE("a dead URL is forgotten once nothing waits for it any more, over a reconnect too",
          "[aside]") {
    const bool reconnects = GENERATE(false, true);
    read_back one{404};
    one.end({outcome_class::target, "HTTP 404"});
    REQUIRE(one.decisions.sink(0).stalled());
    one.drop_row();
    static_cast<void>(one.asked<engine::load_request>());
    one.decisions.load_done();
    REQUIRE(one.decisions.sink(0).held_lanes() == 0);
    CHECK(one.decisions.sink(0).stalls(5).empty());
    CHECK(one.decisions.sink(0).stalled());  // should another event for it come soon
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
    CHECK_FALSE(one.decisions.sink(0).stalled());
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

TEST_CASE("what is sent alone stays alone though the event that was the reason is gone",
          "[aside]") {
    read_back one{1};
    static_cast<void>(one.add(2));
    static_cast<void>(one.add(3));
    one.end({outcome_class::batch, "no"});
    const time_point later = start + 1min;
    one.decisions.sent_back(one.decisions.next(0, later)->token);  // the sink is full
    static_cast<void>(one.asked<engine::load_request>(later));
    one.give_row();
    const auto alone = one.decisions.next(0, later);
    REQUIRE(alone);
    REQUIRE_FALSE(one.decisions.next(0, later));
    one.drop_row(later);
    CHECK_FALSE(one.decisions.next(0, later));
    one.decisions.attempt_ended(alone->token, {outcome_class::batch, "no"}, later);
    CHECK(one.decisions.next(0, later));
    static_cast<void>(one.asked<engine::load_request>(later));
    one.decisions.load_done();
    CHECK(one.asked<engine::put_request>(later).rows.at(0).state == aside_state::parked);
}
