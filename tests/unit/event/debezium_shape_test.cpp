#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

const std::string event_id = "59a42efd-b015-44a9-9dde-00000000003e";

/// The default columns, as the reader of the sink map fills them in.
config::mapped_shape debezium_shape() {
    config::mapped_shape made = mapped{.id = "{id}", .key = "{aggregateid}", .payload = "payload"};
    made.debezium = true;
    return made;
}

relation_ptr outbox_event(std::uint32_t payload_type = oid::jsonb) {
    return table("public", "outbox_event",
                 {{"id", oid::uuid},
                  {"aggregatetype", oid::text},
                  {"aggregateid", oid::text},
                  {"type", oid::text},
                  {"payload", payload_type}});
}

plan_ptr plan_of(config::route route, std::uint32_t payload_type = oid::jsonb) {
    return plan(model({kafka("k"), http("h", "http://h/"), console()}, {std::move(route)}),
                outbox_event(payload_type));
}

config::route route_of(config::mapped_shape shape) {
    return mapped_route("public", "outbox_event", {0, 1, 2}, std::move(shape));
}

row order(nullable payload = "{\"a\": \"x\", \"b\": 1}", nullable type = "Order",
          nullable key = "agg-1") {
    return {event_id, std::move(type), std::move(key), "OrderCreated", std::move(payload)};
}

/// "name=value;", null as "name;".
std::string headers_of(const record& out) {
    std::string all;
    for (const header_view& h : out.headers) {
        all += h.name;
        if (h.value) all.append("=").append(*h.value);
        all += ';';
    }
    return all;
}

}  // namespace

TEST_CASE("The default columns of Debezium's router become its record") {
    const auto plan = plan_of(route_of(debezium_shape()));
    const row from = order();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.style == header_style::debezium);
    CHECK(out.destination == "outbox.event.Order");
    CHECK(out.id == event_id);
    CHECK(out.key == "agg-1");
    CHECK_FALSE(out.type);
    CHECK(out.body == "{\"a\": \"x\", \"b\": 1}");
    CHECK(out.headers.empty());
    CHECK(plan->id_of(from.view(), position()) == event_id);
}

TEST_CASE("A NULL key or payload is null, an empty aggregatetype an empty end of the topic") {
    const auto plan = plan_of(route_of(debezium_shape()));
    const row nulls = order(std::nullopt, "", std::nullopt);
    record out;
    build_well(*plan, nulls, 0, out);
    CHECK_FALSE(out.key);
    CHECK_FALSE(out.body);
    CHECK(out.destination == "outbox.event.");
    const row json_null = order("null", "Order", "");
    build_well(*plan, json_null, 0, out);
    CHECK(out.body == "null");
    CHECK(out.key == "");
    const row untyped = order("{}", std::nullopt);
    CHECK(fault(*plan, untyped) ==
          "make event public.outbox_event: topic: column \"aggregatetype\" is NULL");
}

TEST_CASE("Text payloads keep their text and bytea gives its bytes") {
    const auto body = [](std::uint32_t type, const std::string& value) {
        const auto plan = plan_of(route_of(debezium_shape()), type);
        const row from = order(value);
        record out;
        build_well(*plan, from, 0, out);
        REQUIRE(out.body);
        return std::string{*out.body};
    };
    CHECK(body(oid::text, "{\"b\":1,   \"a\":2.50}") == "{\"b\":1,   \"a\":2.50}");
    CHECK(body(oid::json, "{\"b\":1,   \"a\":2.50, \"a\":3}") ==
          "{\"b\":1,   \"a\":2.50, \"a\":3}");
    CHECK(body(oid::text, "  ") == "  ");
    CHECK(body(oid::text, "").empty());
    CHECK(body(oid::bytea, "\\x00deadbeefff7b") == std::string("\0\xde\xad\xbe\xef\xff{", 7));
    CHECK(body(oid::bytea, "\\x").empty());
}

TEST_CASE("The topic of the route takes the place of Debezium's") {
    auto route = route_of(debezium_shape());
    route.topic = "vec.{aggregatetype}";
    const auto plan = plan_of(route);
    const row from = order();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.destination == "vec.Order");
}

TEST_CASE("Headers go where the map places them, in its order, also twice under one name") {
    auto shape = debezium_shape();
    shape.header_values = {
        {"eventType", "{type}"}, {"aggregatetype", "{aggregatetype}"}, {"id", "{id}"},
        {"type", "{type}"},      {"both", "{type}/{aggregateid}"},     {"constant", "x"},
        {"payload", "{payload}"}};
    const auto plan = plan_of(route_of(shape));
    const row from = order();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(headers_of(out) == "eventType=OrderCreated;aggregatetype=Order;id=" + event_id +
                                 ";type=OrderCreated;both=OrderCreated/agg-1;constant=x;"
                                 "payload={\"a\": \"x\", \"b\": 1};");
    const row nulls = order(std::nullopt, "Order", std::nullopt);
    build_well(*plan, nulls, 0, out);
    CHECK(headers_of(out) == "eventType=OrderCreated;aggregatetype=Order;id=" + event_id +
                                 ";type=OrderCreated;both;constant=x;payload;");
}

TEST_CASE("A content type is a header of its own for Kafka in Debezium's style, and lost nowhere") {
    auto shape = debezium_shape();
    shape.header_values = {{"Content-Type", "{type}"}};
    auto route = route_of(shape);
    const auto plan = plan_of(route);
    const row from = order();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(headers_of(out) == "Content-Type=OrderCreated;");
    build_well(*plan, from, 1, out);
    CHECK(headers_of(out).empty());
    CHECK(out.content_type == "OrderCreated");
    shape.debezium = false;
    route = route_of(shape);
    route.topic = "t";
    const auto ours = plan_of(route);
    build_well(*ours, from, 0, out);
    CHECK(out.style == header_style::walrelay);
    CHECK(headers_of(out).empty());
    CHECK(out.content_type == "OrderCreated");
}

TEST_CASE("A column of the headers that the table has not is named with header and route") {
    auto shape = debezium_shape();
    shape.header_values = {{"x", "{nosuch}"}, {"line\nend", "{type}-{gone}"}};
    const auto routes =
        router::make(model({console()}, {mapped_route("public", "outbox_event", {0}, shape)}));
    REQUIRE(routes.has_value());
    const auto made = routes->plan(outbox_event());
    REQUIRE_FALSE(made.has_value());
    CHECK(
        made.error().cause ==
        "column \"nosuch\" (used as header \"x\" by the route at map.yaml:20:5) does not exist; "
        "column \"gone\" (used as header \"line\\x0aend\" by the route at map.yaml:20:5) does not "
        "exist");
    shape.header_values = {{"x", "{a"}};
    const auto bad =
        router::make(model({console()}, {mapped_route("public", "outbox_event", {0}, shape)}));
    REQUIRE_FALSE(bad.has_value());
    CHECK(bad.error().text().starts_with("read route map.yaml:20:5: shape.headers.x: at byte"));
}

TEST_CASE("A header column that was not sent is refused by name") {
    auto shape = debezium_shape();
    shape.header_values = {{"x", "{type}"}};
    const auto plan = plan_of(route_of(shape));
    row from;
    from.text(event_id).text("Order").text("k").unchanged().text("{}");
    CHECK(fault(*plan, from) ==
          "make event public.outbox_event: header \"x\": column \"type\" was not sent (unchanged "
          "TOAST). Hint: only inserts are events: publish = 'insert'");
}

TEST_CASE("Headers of the map keep within the limits of headers") {
    auto shape = debezium_shape();
    shape.header_values = {{"ab", "{type}"}, {"cd", "{aggregateid}"}};
    const auto plan = plan_of(route_of(shape));
    const auto sized = [](std::size_t bytes) {
        return row{event_id, "Order", std::string(bytes - 6, 'k'), "tt", "{}"};
    };
    record out;
    const row full = sized(16 * 1024);
    build_well(*plan, full, 0, out);
    CHECK(fault(*plan, sized(16 * 1024 + 1)) ==
          "make event public.outbox_event: headers: more than 16384 bytes of names and values");
}

TEST_CASE("Header values of one column have the text that Kafka Connect gives them") {
    const auto header = [](std::uint32_t type, const std::string& value) {
        auto shape = debezium_shape();
        shape.header_values = {{"h", "{h}"}, {"mixed", "<{h}>"}};
        auto wide = *outbox_event();
        wide.columns.push_back({"h", type, false});
        const auto plan =
            sample::plan(model({kafka("k")}, {mapped_route("public", "outbox_event", {0}, shape)}),
                         std::make_shared<pgoutput::relation>(wide));
        row from = order();
        from.text(value);
        record out;
        build_well(*plan, from, 0, out);
        CHECK(out.headers.at(1).value == "<" + value + ">");
        return std::string{*out.headers.at(0).value};
    };
    constexpr std::uint32_t boolean = 16;
    constexpr std::uint32_t date = 1082;
    CHECK(header(boolean, "t") == "true");
    CHECK(header(boolean, "f") == "false");
    CHECK(header(oid::bytea, "\\xdeadbeef00ff") == "3q2+7wD/");
    CHECK(header(oid::bytea, "\\x") == "");
    CHECK(header(oid::bytea, "\\x66") == "Zg==");
    CHECK(header(oid::bytea, "\\x666f") == "Zm8=");
    CHECK(header(oid::bytea, "\\x666f6f") == "Zm9v");
    CHECK(header(oid::bytea, "\\x666f6f62") == "Zm9vYg==");
    CHECK(header(date, "2019-03-24") == "17979");
    CHECK(header(date, "1970-01-01") == "0");
    CHECK(header(date, "1969-12-31") == "-1");
    CHECK(header(date, "2000-02-29") == "11016");
    CHECK(header(date, "2000-03-01") == "11017");
    CHECK(header(date, "0001-01-01") == "-719162");
    CHECK(header(date, "9999-12-31") == "2932896");
    CHECK(header(date, "infinity") == "infinity");
    CHECK(header(date, "0044-03-15 BC") == "0044-03-15 BC");
    CHECK(header(oid::timestamptz, "2019-03-24 18:52:59.123456+00") ==
          "2019-03-24T18:52:59.123456Z");
    CHECK(header(oid::timestamptz, "2019-03-24 18:52:59+00") == "2019-03-24T18:52:59Z");
    CHECK(header(oid::timestamptz, "-infinity") == "-infinity");
    CHECK(header(oid::timestamptz, "2019-03-24 18:52:59+02") == "2019-03-24 18:52:59+02");
    CHECK(header(oid::timestamptz, "+00") == "+00");
    CHECK(header(oid::jsonb, "{\"a\": [1.0], \"b\": 1}") == "{\"a\": [1.0], \"b\": 1}");
    CHECK(header(oid::text, "t") == "t");
}
