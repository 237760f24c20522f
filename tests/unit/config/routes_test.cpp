// Where routes read from, and the shapes of what they read.
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "support/catch.hpp"
#include "test_secrets.hpp"

namespace walrelay::config {

namespace {

using header_values = std::vector<std::pair<std::string, std::string>>;

/// A whole file around one route in flow style, in line 6.
reading with_route(const std::string& options) {
    return read_text(
        "source: { conninfo: '', slot: s, publication: p }\n"
        "sinks:\n"
        "  events: { kafka: { brokers: 'localhost:9092' } }\n"
        "  workers: { http: { url: 'http://localhost/', headers: { x-team: shop } } }\n"
        "routes:\n"
        "  - { " +
            options + " }\n",
        "relay.yaml", test_secrets());
}

route route_of(const std::string& options) {
    const reading result = with_route(options);
    INFO(options << "\n" << report(result));
    REQUIRE(result.model);
    return result.model->routes.at(0);
}

mapped_shape shape_of(const std::string& shape) {
    return std::get<mapped_shape>(
        route_of("from: shop.outbox, to: events, topic: orders, shape: " + shape).shape);
}

}  // namespace

TEST_CASE("A route from messages has the prefix, no table and the shape of the outbox") {
    const route read = route_of(
        "from: 'message:walrelay', to: [ events, workers ], topic: 't.{topic}', key: '{key}', "
        "topics: 't.*', where: { type: 'a*' }");
    CHECK(read.from_message == "walrelay");
    CHECK(read.from_schema.empty());
    CHECK(read.from_table.empty());
    CHECK(std::holds_alternative<walrelay_shape>(read.shape));
    CHECK(read.topic == "t.{topic}");
    CHECK(read.key == "{key}");
    CHECK(read.topics == std::vector<std::string>{"t.*"});
    CHECK(read.where.size() == 1);
    CHECK(read.at.line == 6);
    CHECK_FALSE(route_of("from: 'message:walrelay', to: events").topic);
    CHECK(route_of("from: 'message:walrelay', to: none").to.empty());
}

TEST_CASE("All behind the first colon is the prefix of the messages") {
    for (const std::string prefix :
         {"w", "a:b", ":", "shop.orders", "Shop Orders", "\xC3\xBC", "message:x"}) {
        CHECK(route_of("from: 'message:" + prefix + "', to: events").from_message == prefix);
    }
    const std::string longest(63, 'x');
    CHECK(route_of("from: 'message:" + longest + "', to: events").from_message == longest);
    CHECK_FALSE(with_route("from: 'message:" + longest + "x', to: events").model);
}

TEST_CASE("A template of a message's route may use every column that messages have") {
    for (const std::string column : {"id", "topic", "key", "type", "payload", "raw", "headers"}) {
        INFO(column);
        CHECK(with_route("from: 'message:w', to: events, topic: 'x{" + column + "}', key: '{" +
                         column + "}', where: { " + column + ": '*' }")
                  .model);
    }
    CHECK_FALSE(with_route("from: 'message:w', to: events, key: '{seq}'").model);
    CHECK(with_route("from: walrelay.outbox, to: events, key: '{seq}'").model);
}

TEST_CASE("A route from walrelay.dispatch has the shape of pushes and needs no topic") {
    const route read = route_of("from: walrelay.dispatch, where: { queue: mails }, to: workers");
    CHECK(read.from_schema == "walrelay");
    CHECK(read.from_table == "dispatch");
    CHECK(read.from_message.empty());
    CHECK(std::holds_alternative<push_shape>(read.shape));
    CHECK_FALSE(route_of("from: walrelay.dispatch, to: events").topic);
    CHECK(route_of("from: walrelay.dispatch, to: events, topic: 'q.{queue}'").topic == "q.{queue}");
    CHECK(std::holds_alternative<push_shape>(route_of("from: walrelay.dispatch, to: none").shape));
    // Only the schema of the relay has such a table.
    CHECK_FALSE(with_route("from: shop.dispatch, to: workers").model);
}

TEST_CASE("shape: debezium means the default columns of the Outbox Event Router") {
    for (const std::string shape : {"debezium", "{ like: debezium }"}) {
        const route read = route_of("from: shop.outbox, to: events, shape: " + shape);
        CHECK_FALSE(read.topic);
        const auto& got = std::get<mapped_shape>(read.shape);
        CHECK(got.debezium);
        CHECK(got.id == "{id}");
        CHECK(got.key == "{aggregateid}");
        CHECK_FALSE(got.type);
        CHECK(got.payload == "payload");
        CHECK_FALSE(got.headers);
        CHECK(got.header_values.empty());
    }
    CHECK(route_of("from: shop.outbox, to: events, topic: orders, shape: debezium").topic ==
          "orders");
}

TEST_CASE("A shape like debezium takes over what the map says, and only that") {
    const mapped_shape all = shape_of(
        "{ like: debezium, id: '{a}', key: '{b}-{c}', type: '{d}', payload: e, headers: f }");
    CHECK(all.debezium);
    CHECK(all.id == "{a}");
    CHECK(all.key == "{b}-{c}");
    CHECK(all.type == "{d}");
    CHECK(all.payload == "e");
    CHECK(all.headers == "f");

    const mapped_shape id = shape_of("{ like: debezium, id: '{event_id}' }");
    CHECK(id.id == "{event_id}");
    CHECK(id.key == "{aggregateid}");
    CHECK(id.payload == "payload");

    const mapped_shape payload = shape_of("{ payload: body, like: debezium }");
    CHECK(payload.debezium);
    CHECK(payload.id == "{id}");
    CHECK(payload.payload == "body");

    CHECK_FALSE(shape_of("{ payload: body }").debezium);
}

TEST_CASE("Headers of a shape are one column, or names with templates in the order of the file") {
    const mapped_shape column = shape_of("{ payload: body, headers: meta }");
    CHECK(column.headers == "meta");
    CHECK(column.header_values.empty());

    const mapped_shape values = shape_of(
        "{ payload: body, headers: { z: '{kind}', a: 'v{major}.{minor}', \"two words\": shop, "
        "A: '', '${env:TOKEN}': x } }");
    CHECK_FALSE(values.headers);
    CHECK(values.header_values == header_values{{"z", "{kind}"},
                                                {"a", "v{major}.{minor}"},
                                                {"two words", "shop"},
                                                {"A", ""},
                                                {"${env:TOKEN}", "x"}});
    CHECK(shape_of("{ payload: body, headers: {} }").header_values.empty());
}

TEST_CASE("A shape has 64 headers at most") {
    std::string headers;
    for (int i = 0; i < 64; ++i)
        headers += "h" + std::to_string(i) + ": '{a}', ";
    CHECK(shape_of("{ payload: body, headers: { " + headers + "} }").header_values.size() == 64);
    CHECK_FALSE(with_route("from: shop.outbox, to: events, topic: t, shape: { payload: body, "
                           "headers: { " +
                           headers + "one-more: x } }")
                    .model);
}

TEST_CASE("Header names that HTTP can't have are refused for routes with an HTTP sink only") {
    for (const std::string name :
         {"two words", "host", "Webhook-Id", "authorization", "x-walrelay-key", "X-Team"}) {
        INFO(name);
        const std::string shape = "shape: { payload: body, headers: { '" + name + "': '{a}' } }";
        CHECK_FALSE(with_route("from: shop.outbox, to: workers, " + shape).model);
        CHECK_FALSE(
            with_route("from: shop.outbox, to: [ events, workers ], topic: t, " + shape).model);
        CHECK(with_route("from: shop.outbox, to: events, topic: t, " + shape).model);
    }
    CHECK(with_route("from: shop.outbox, to: workers, shape: { payload: body, headers: { "
                     "content-type: text/plain, traceparent: '{trace}' } }")
              .model);
}

TEST_CASE("Options of Debezium's router get the answer for people who come from there") {
    const auto hint = [](const std::string& option) {
        const reading result = with_route(
            "from: shop.outbox, to: events, shape: { like: debezium, " + option + ": x }");
        REQUIRE(result.problems.size() == 1);
        return result.problems[0].text;
    };
    CHECK(hint("table.field.event.key") ==
          "an option of Debezium; write key: \"{COLUMN}\" in the shape");
    CHECK(hint("transforms.outbox.table.field.event.key") == hint("table.field.event.key"));
    CHECK(hint("value.converter") == hint("value.converter.schemas.enable"));
    CHECK(hint("value.converters").find("unknown key") == 0);
    CHECK(hint("transforms.outbox").find("unknown key") == 0);
    CHECK(hint("transforms.").find("unknown key") == 0);
}

}  // namespace walrelay::config
