// Rows of walrelay.parked that come back, also those that somebody has changed by hand.
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "walrelay/event/message_row.hpp"
#include "walrelay/intake/row_reader.hpp"
#include "walrelay/pgoutput/encoder.hpp"

using namespace walrelay;
using engine::aside_state;
using engine::lane_key;

namespace {

constexpr lane_key lane{7, lane_key::kind::keyed};

pgoutput::relation orders() {
    pgoutput::relation made;
    made.id = 16'400;
    made.schema = "public";
    made.name = "orders";
    made.columns = {{"body", 25, false}};
    return made;
}

/// Sends the column `body` of public.orders to a sink that keeps the order of keys.
event::router routes() {
    config::model map;
    map.sinks.emplace_back();
    map.sinks[0].name = "out";
    map.sinks[0].kind = config::discard_sink{};
    config::route route;
    route.from_schema = "public";
    route.from_table = "orders";
    route.to = {0};
    config::mapped_shape shape;
    shape.payload = "body";
    route.shape = shape;
    map.routes.push_back(std::move(route));
    return event::router::make(map).value();
}

intake::loaded_row stored(engine::aside_id id, std::string insert) {
    intake::loaded_row one;
    one.id = id;
    one.row.relation = pgoutput::encode_relation(orders());
    one.row.message = std::make_unique<std::byte[]>(insert.size());
    one.row.message_bytes = insert.size();
    std::memcpy(one.row.message.get(), insert.data(), insert.size());
    one.row.position.commit_lsn = lsn{static_cast<std::uint64_t>(id)};
    return one;
}

std::string insert_of(const std::string& body) {
    std::string bytes = "t";
    for (const int shift : {24, 16, 8, 0})
        bytes += static_cast<char>(body.size() >> shift);
    bytes += body;
    const pgoutput::tuple_view row{1, std::as_bytes(std::span{bytes})};
    return pgoutput::encode_insert(orders().id, row);
}

/// An engine whose store has rows of one key, and asks for them.
struct loading {
    loading() : decisions{options()} {
        engine::aside_start known;
        known.lanes = {{0, lane, false}};
        decisions.stream_started(lsn{100}, false, std::move(known), std::chrono::seconds{10},
                                 start);
        auto request = decisions.store_due(start);
        REQUIRE(request);
        asked = std::get<engine::load_request>(*request);
    }

    static engine::engine_options options() {
        engine::engine_options made;
        made.sinks = {{engine::lane_depth::serial, true}};
        return made;
    }

    void answer(std::vector<intake::loaded_row> rows) {
        intake::feed_rows(decisions, events, reader, asked, std::move(rows));
    }

    const time_point start{std::chrono::hours{1}};
    engine::engine decisions;
    engine::load_request asked;
    intake::event_store events;
    event::router map = routes();
    intake::row_reader reader{map};
};

}  // namespace

TEST_CASE("a stored row that can't be read is parked by name, and those beside it are sent") {
    loading on;
    std::vector<intake::loaded_row> rows;
    rows.push_back(stored(1, insert_of("first")));
    rows.push_back(stored(2, insert_of("cut off").substr(0, 12)));
    rows.push_back(stored(3, "Z"));
    rows.push_back(stored(4, insert_of("of another table")));
    rows.back().row.relation = "R";
    rows.emplace_back();
    rows.back().id = 5;
    rows.back().fault = intake::not_as_written("xid is none").text();
    rows.push_back(stored(6, insert_of("last")));
    on.answer(std::move(rows));

    for (const char* const expected : {"first", "last"}) {
        const auto attempt = on.decisions.next(0, on.start);
        REQUIRE(attempt);
        CHECK((*on.events.at(attempt->event).row.begin()).text == expected);
        on.decisions.attempt_ended(attempt->token, {engine::outcome_class::delivered}, on.start);
    }
    const auto changes = std::get<engine::change_request>(on.decisions.store_due(on.start).value());
    REQUIRE(changes.rows.size() == 6);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(changes.rows[i].id == static_cast<engine::aside_id>(i + 2));
        CHECK(changes.rows[i].state == aside_state::parked);
        CHECK_THAT(changes.rows[i].reason, ContainsSubstring("read a row of walrelay.parked: "));
    }
    CHECK_THAT(changes.rows[3].reason, ContainsSubstring("xid"));
}

TEST_CASE("a message that was set aside counts as many bytes as it had on the stream") {
    const bool ours = GENERATE(true, false);
    const std::string content = ours
                                    ? R"({"topic":"t","payload":")" + std::string(5000, 'x') + "\"}"
                                    : std::string(5000, 'x');
    event::row_position position;
    position.commit_lsn = lsn{100};
    position.what = event::row_position::origin::lone_message;
    const event::message_row made{std::as_bytes(std::span{content}), position};
    const std::string insert = pgoutput::encode_insert(1, made.row());
    intake::stored_row row;
    row.relation = pgoutput::encode_relation(*event::message_relation("shop"));
    row.message = std::make_unique<std::byte[]>(insert.size());
    row.message_bytes = insert.size();
    std::memcpy(row.message.get(), insert.data(), insert.size());
    row.position = position;
    const event::router map = routes();
    intake::row_reader reader{map};
    std::vector<event::placement> placements;
    const auto read = reader.read(std::move(row), placements);
    REQUIRE(read);
    CHECK(read->bytes <= content.size());
    CHECK(read->bytes + 40 >= content.size());
}

TEST_CASE("a key whose rows found no room stays held, and is asked for again") {
    loading on;
    std::vector<intake::loaded_row> rows;
    rows.emplace_back();
    rows.back().left = true;
    on.answer(std::move(rows));
    CHECK(on.decisions.sink(0).held(lane));
    CHECK_FALSE(on.decisions.next(0, on.start));
    const auto again = on.decisions.store_due(on.start);
    REQUIRE(again);
    CHECK(std::get<engine::load_request>(*again).lanes.at(0).lane == lane);
    on.answer({});
    CHECK_FALSE(on.decisions.sink(0).held(lane));
}
