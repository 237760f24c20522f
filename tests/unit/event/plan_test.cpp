#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

error plan_error(const config::model& map, const relation_ptr& table) {
    const auto routes = router::make(map);
    REQUIRE(routes.has_value());
    const auto made = routes->plan(table);
    REQUIRE_FALSE(made.has_value());
    return made.error();
}

std::string map_fault(const config::model& map) {
    const auto made = router::make(map);
    REQUIRE_FALSE(made.has_value());
    return made.error().text();
}

}  // namespace

TEST_CASE("A column that a route uses and the table has not is named with its route") {
    const auto map =
        model({console()}, {mapped_route("public", "orders", {0}, mapped{.payload = "x"})});
    const error e =
        plan_error(map, table("public", "orders", {{"id", oid::bigint}, {"body", oid::text}}));
    CHECK(e.operation == "map table");
    CHECK(e.object == "public.orders");
    CHECK(e.cause == "column \"x\" (used as payload by the route at map.yaml:20:5) does not exist");
    CHECK(e.hint == "correct the route or add the column; the table has id, body");
}

TEST_CASE("All missing columns of all routes are named at once, each use by its name") {
    auto first = mapped_route(
        "s", "t", {0, 1},
        mapped{.id = "{i}", .key = "{k}", .type = "a{t}", .payload = "p", .headers = "h"});
    first.where.push_back({"w", {"*"}});
    first.topic = "{o}";
    auto second = mapped_route("s", "t", {0}, mapped{.payload = "p"});
    second.at.line = 30;
    second.key = "{i}";
    second.topic = "x";
    auto map = model({kafka("k"), http("h", "http://h/{u}")}, {first, second});
    const auto use = [](const std::string& column, const std::string& as, const std::string& line) {
        return "column \"" + column + "\" (used as " + as + " by the route at map.yaml:" + line +
               ":5) does not exist";
    };
    CHECK(plan_error(map, table("s", "t", {{"p", oid::text}})).cause ==
          use("w", "where", "20") + "; " + use("h", "headers", "20") + "; " + use("i", "id", "20") +
              "; " + use("k", "key", "20") + "; " + use("t", "type", "20") + "; " +
              use("o", "topic", "20") + "; " + use("u", "url", "20") + "; " +
              use("i", "key", "30"));
}

TEST_CASE("Column names are told apart by case and hostile ones are printed safely") {
    const auto map = model({console()}, {mapped_route("s", "t", {0}, mapped{.payload = "Body"})});
    const error e =
        plan_error(map, table("s", "t", {{"body", oid::text}, {"e\r\nvil", oid::text}}));
    CHECK(e.cause ==
          "column \"Body\" (used as payload by the route at map.yaml:20:5) does not exist");
    CHECK(e.hint == "correct the route or add the column; the table has body, e\\x0d\\x0avil");
}

TEST_CASE("The walrelay shape needs all columns of the outbox") {
    auto route = outbox_route({0});
    const auto map = model({console()}, {route});
    for (const std::string missing : {"id", "topic", "key", "type", "payload", "raw", "headers"}) {
        auto changed = *outbox_table();
        for (auto& column : changed.columns) {
            if (column.name == missing) column.name += "_old";
        }
        const error e = plan_error(map, std::make_shared<pgoutput::relation>(changed));
        INFO(e.cause);
        CHECK(e.cause.starts_with(
            "column \"" + missing +
            "\" (a column of the walrelay shape by the route at map.yaml:12:5) does not exist"));
    }
}

TEST_CASE("A table with the outbox's columns but other types is refused") {
    const auto map = model({console()}, {outbox_route({0})});
    auto changed = *outbox_table();
    changed.columns[6].type_oid = oid::bytea;
    changed.columns[7].type_oid = oid::text;
    CHECK(plan_error(map, std::make_shared<pgoutput::relation>(changed)).cause ==
          "column \"payload\" must be json or jsonb in the walrelay shape (the route at "
          "map.yaml:12:5); column "
          "\"raw\" must be bytea in the walrelay shape (the route at map.yaml:12:5)");
}

TEST_CASE("A route that discards needs only the columns that it asks about") {
    auto route = outbox_route({});
    route.from_schema = "shop";
    route.from_table = "audit";
    route.where.push_back({"level", {"debug"}});
    const auto map = model({}, {route});
    const auto plan = sample::plan(map, table("shop", "audit", {{"level", oid::text}}));
    std::vector<placement> placements;
    CHECK(plan->decide(row{"debug"}.view(), placements).what == routing::verdict::discarded);
    CHECK(plan->decide(row{"info"}.view(), placements).what == routing::verdict::no_route);
    CHECK(plan->id_of(row{"debug"}.view(), position()) == "00000016B374D848-1729324800000001-1");
    CHECK(plan_error(map, table("shop", "audit", {{"lvl", oid::text}})).cause ==
          "column \"level\" (used as where by the route at map.yaml:12:5) does not exist");
}

TEST_CASE("Columns may be added and moved: the new version of the table has a plan of its own") {
    const auto map =
        model({console()}, {mapped_route("s", "t", {0}, mapped{.id = "{a}", .payload = "b"})});
    const auto before = sample::plan(map, table("s", "t", {{"a", oid::text}, {"b", oid::text}}));
    const auto after = sample::plan(
        map, table("s", "t", {{"b", oid::json}, {"new", oid::text}, {"a", oid::text}}));
    record out;
    const row old_row{"1", "x"};
    const row new_row{"x", std::nullopt, "1"};
    build_well(*before, old_row, 0, out);
    CHECK(out.id == "1");
    CHECK(out.content_type == "text/plain");
    build_well(*after, new_row, 0, out);
    CHECK(out.id == "1");
    CHECK(out.body == "x");
    CHECK(out.content_type == "application/json");
}

TEST_CASE("A template that can't be read is refused with its option and place") {
    auto route = mapped_route("s", "t", {0}, mapped{.id = "{a", .payload = "p"});
    const auto start = [](const std::string& fault) {
        return fault.substr(0, fault.find(": at byte offset"));
    };
    CHECK(start(map_fault(model({console()}, {route}))) == "read route map.yaml:20:5: shape.id");
    route.shape = mapped{.key = "}", .payload = "p"};
    CHECK(start(map_fault(model({console()}, {route}))) == "read route map.yaml:20:5: shape.key");
    route.shape = mapped{.type = "{}", .payload = "p"};
    CHECK(start(map_fault(model({console()}, {route}))) == "read route map.yaml:20:5: shape.type");
    route.shape = mapped{.payload = "p"};
    route.key = "{";
    CHECK(start(map_fault(model({console()}, {route}))) == "read route map.yaml:20:5: key");
    route.key.reset();
    route.topic = "{";
    CHECK(start(map_fault(model({kafka("k")}, {route}))) == "read route map.yaml:20:5: topic");
    CHECK(start(map_fault(model({http("h", "http://h/{")}, {route}))) ==
          "read sink map.yaml:6:3: url");
}

TEST_CASE("A route to a sink that is not there is refused") {
    CHECK(map_fault(model({console()}, {outbox_route({1})})) ==
          "read route map.yaml:12:5: to: names a sink that does not exist");
}
