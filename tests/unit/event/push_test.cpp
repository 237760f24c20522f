#include <nlohmann/json.hpp>

#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

const std::string workflow = "0192a1f0-0000-7000-8000-0000000000aa";

std::string fault_of_table(const relation_ptr& table) {
    const auto routes = router::make(model({console()}, {push_route({0})}));
    REQUIRE(routes.has_value());
    const auto made = routes->plan(table);
    REQUIRE_FALSE(made.has_value());
    return made.error().cause;
}

relation_ptr with_type(const std::string& name, std::uint32_t type) {
    auto changed = *dispatch_table();
    for (auto& column : changed.columns) {
        if (column.name == name) column.type_oid = type;
    }
    return std::make_shared<pgoutput::relation>(changed);
}

}  // namespace

TEST_CASE("A push of a workflow has the documented body, id and key") {
    const auto plan = sample::plan(model({kafka("k")}, {push_route({0})}), dispatch_table());
    const auto from = dispatch{.headers = R"({"traceparent": "00-1"})"}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.id == workflow + "-2");
    CHECK(out.key == "c-17");
    CHECK_FALSE(out.type);
    CHECK(out.destination == "mail");
    CHECK(out.body == R"({"workflow_id":")" + workflow +
                          R"(","name":"send","queue":"mail","attempt":3,"key":"c-17",)"
                          R"("input":{"n":  1.10}})");
    CHECK_FALSE(out.body_in_frame);
    CHECK(out.content_type == "application/json");
    REQUIRE(out.push);
    CHECK(out.push->workflow_id == workflow);
    CHECK(out.push->attempt == "3");
    CHECK(out.push->queue == "mail");
    CHECK(out.push->name == "send");
    REQUIRE(out.headers.size() == 1);
    CHECK(out.headers[0].name == "traceparent");
    CHECK(out.table == "walrelay.dispatch");
    CHECK(plan->id_of(from.view(), position()) == workflow + "-2");
}

TEST_CASE("A push without key or input says null") {
    const auto plan = sample::plan(model({console()}, {push_route({0})}), dispatch_table());
    const auto from = dispatch{.key = std::nullopt, .input = std::nullopt}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK_FALSE(out.key);
    CHECK(out.body->ends_with(R"("key":null,"input":null})"));
    const auto empty = dispatch{.key = "", .input = "\"\""}.row();
    build_well(*plan, empty, 0, out);
    CHECK(out.key == "");
    CHECK(out.body->ends_with(R"("key":"","input":""})"));
}

TEST_CASE("Quotes and control characters in a push are escaped and every reader sees them") {
    const auto plan = sample::plan(model({console()}, {push_route({0})}), dispatch_table());
    const std::string hostile = "a\"\\\n\x01\x1f\x7f/é\"},\"input\":1}";
    for (const std::size_t count : {1, 10, 300}) {
        std::string many;
        for (std::size_t i = 0; i < count; ++i)
            many += hostile;
        const auto from = dispatch{.queue = many, .name = many, .key = many}.row();
        record out;
        build_well(*plan, from, 0, out);
        const auto read = nlohmann::json::parse(*out.body);
        CHECK(read["queue"].get<std::string>() == many);
        CHECK(read["name"].get<std::string>() == many);
        CHECK(read["key"].get<std::string>() == many);
        CHECK(read["attempt"].get<int>() == 3);
        CHECK(read["input"]["n"].get<double>() == 1.1);
        CHECK(read.size() == 6);
        CHECK(out.push->queue == many);
        CHECK(out.id == workflow + "-2");
    }
}

TEST_CASE("A route may give pushes another topic, key and path") {
    auto route = push_route({0, 1});
    route.topic = "jobs.{queue}";
    route.key = "{workflow_id}";
    route.where.push_back({"queue", {"mail*"}});
    const auto plan = sample::plan(
        model({kafka("k"), http("h", "http://h/{queue}/{name}")}, {route}), dispatch_table());
    const auto from = dispatch{.name = "send it"}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.destination == "jobs.mail");
    CHECK(out.key == workflow);
    build_well(*plan, from, 1, out);
    CHECK(out.destination == "/mail/send%20it");
}

TEST_CASE("A push without queue, name, attempt or number is refused by column") {
    const auto plan = sample::plan(model({console()}, {push_route({0})}), dispatch_table());
    const std::string start = "make event walrelay.dispatch: ";
    CHECK(fault(*plan, dispatch{.push = std::nullopt}.row()) ==
          start + "id: column \"push\" is NULL");
    CHECK(fault(*plan, dispatch{.queue = std::nullopt}.row()) ==
          start + "push: column \"queue\" is NULL");
    CHECK(fault(*plan, dispatch{.name = std::nullopt}.row()) ==
          start + "push: column \"name\" is NULL");
    CHECK(fault(*plan, dispatch{.attempt = std::nullopt}.row()) ==
          start + "push: column \"attempt\" is NULL");
    CHECK(fault(*plan, dispatch{.headers = "[]"}.row()) ==
          start + "headers: the column does not hold a JSON object");
}

TEST_CASE("A table that lacks a column of pushes, or has another type, is refused") {
    for (const std::string missing :
         {"push", "queue", "name", "workflow_id", "attempt", "key", "input", "headers"}) {
        auto changed = *dispatch_table();
        for (auto& column : changed.columns) {
            if (column.name == missing) column.name += "_old";
        }
        const std::string cause = fault_of_table(std::make_shared<pgoutput::relation>(changed));
        INFO(cause);
        CHECK(cause.starts_with("column \"" + missing +
                                "\" (a column of a push by the route at map.yaml:14:5) does not "
                                "exist"));
    }
    CHECK(fault_of_table(with_type("attempt", oid::text)) ==
          "column \"attempt\" must be an integer in a push (the route at map.yaml:14:5)");
    CHECK(fault_of_table(with_type("input", oid::text)) ==
          "column \"input\" must be json or jsonb in a push (the route at map.yaml:14:5)");
}

TEST_CASE("A record that was a push is none when it is built from an ordinary row") {
    const auto pushes = sample::plan(model({console()}, {push_route({0})}), dispatch_table());
    const auto plan = outbox_plan({console()}, {outbox_route({0})});
    const auto push = dispatch{}.row();
    const auto ordinary = outbox{}.row();
    record out;
    build_well(*pushes, push, 0, out);
    CHECK(out.push);
    build_well(*plan, ordinary, 0, out);
    CHECK_FALSE(out.push);
}
