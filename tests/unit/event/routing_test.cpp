#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

routing decide(const table_plan& plan, const row& from) {
    std::vector<placement> placements;
    return plan.decide(from.view(), placements);
}

placement placed(const table_plan& plan, const row& from) {
    std::vector<placement> placements;
    REQUIRE(plan.decide(from.view(), placements).what == routing::verdict::routed);
    REQUIRE(placements.size() == 1);
    return placements.front();
}

config::route where(config::route route, std::string column, std::vector<std::string> globs) {
    route.where.emplace_back(std::move(column), std::move(globs));
    return route;
}

}  // namespace

TEST_CASE("The first route whose conditions all match takes the row") {
    auto billing = where(where(outbox_route({0}), "topic", {"billing.*"}), "type", {"*.paid"});
    const auto plan = outbox_plan({console()}, {billing, where(outbox_route({0}), "topic", {"b*"}),
                                                where(outbox_route({}), "topic", {"audit.*"})});
    CHECK(decide(*plan, outbox{.topic = "billing.eu", .type = "invoice.paid"}.row()).route == 0);
    CHECK(decide(*plan, outbox{.topic = "billing.eu", .type = "invoice.sent"}.row()).route == 1);
    const routing audit = decide(*plan, outbox{.topic = "audit.x"}.row());
    CHECK(audit.what == routing::verdict::discarded);
    CHECK(audit.route == 2);
    CHECK(decide(*plan, outbox{.topic = "orders"}.row()).what == routing::verdict::no_route);
}

TEST_CASE("Any of several globs for a column is enough") {
    const auto plan = outbox_plan({console()}, {where(outbox_route({0}), "topic", {"a.*", "b.?"})});
    CHECK(decide(*plan, outbox{.topic = "a.long"}.row()).what == routing::verdict::routed);
    CHECK(decide(*plan, outbox{.topic = "b.1"}.row()).what == routing::verdict::routed);
    CHECK(decide(*plan, outbox{.topic = "b.11"}.row()).what == routing::verdict::no_route);
}

TEST_CASE("A NULL matches no glob, an empty string matches a star") {
    const auto plan = outbox_plan({console()}, {where(outbox_route({0}), "type", {"*"})});
    CHECK(decide(*plan, outbox{.type = std::nullopt}.row()).what == routing::verdict::no_route);
    CHECK(decide(*plan, outbox{.type = ""}.row()).what == routing::verdict::routed);
}

TEST_CASE("A row whose condition can't be decided is not given to a later route") {
    const auto plan = outbox_plan(
        {console()}, {where(outbox_route({0}), "topic", {"secret.*"}), outbox_route({0})});
    row unsent;
    unsent.text("1").text("id").text("now").unchanged().null().null().text("{}").null().null();
    CHECK(decide(*plan, unsent).what == routing::verdict::no_route);
}

TEST_CASE("A row with another number of columns than its table is not routed") {
    const auto plan = outbox_plan({console()}, {outbox_route({0})});
    std::vector<placement> placements{{}};
    const row short_row{"1", "id"};
    CHECK(plan->decide(short_row.view(), placements).what == routing::verdict::no_route);
    CHECK(placements.empty());
    record out;
    CHECK(plan->build(short_row.view(), 0, 0, position(), 1, out).error().cause ==
          "the row has 2 columns and the table 9");
    CHECK(plan->id_of(row{}.view(), position()) == "00000016B374D848-1729324800000001-1");
}

TEST_CASE("A row of a table that no route names finds no route") {
    const auto plan = sample::plan(model({console()}, {outbox_route({0})}),
                                   table("public", "other", {{"a", oid::text}}));
    CHECK(decide(*plan, row{"x"}).what == routing::verdict::no_route);
    CHECK(plan->table() == "public.other");
}

TEST_CASE("A table is told from another by schema and name, not by their joined text") {
    const auto map = model({console()}, {mapped_route("a.b", "c", {0}, mapped{.payload = "x"})});
    CHECK(decide(*sample::plan(map, table("a.b", "c", {{"x", oid::text}})), row{"1"}).what ==
          routing::verdict::routed);
    CHECK(decide(*sample::plan(map, table("a", "b.c", {{"x", oid::text}})), row{"1"}).what ==
          routing::verdict::no_route);
    const auto routes = router::make(map);
    CHECK(routes->names("a.b", "c"));
    CHECK_FALSE(routes->names("a", "b.c"));
}

TEST_CASE("Each sink of a route gets a placement of its own") {
    const auto plan = outbox_plan({console(), kafka("events"), http("hook", "http://h/x")},
                                  {outbox_route({2, 1})});
    std::vector<placement> placements(5);
    const auto from = outbox{}.row();
    REQUIRE(plan->decide(from.view(), placements).what == routing::verdict::routed);
    REQUIRE(placements.size() == 2);
    CHECK(placements[0].sink == 2);
    CHECK(placements[1].sink == 1);
    CHECK(placements[0].key_hash == placements[1].key_hash);
    CHECK(placements[0].target_hash != placements[1].target_hash);
}

TEST_CASE("The same key has the same hash whichever column or template made it") {
    const auto columns = table("t", "t", {{"a", oid::text}, {"b", oid::text}});
    const auto by = [&](std::string key) {
        return sample::plan(
            model({console()},
                  {mapped_route("t", "t", {0}, mapped{.key = std::move(key), .payload = "b"})}),
            columns);
    };
    const auto whole = placed(*by("{a}"), row{"c-17", "x"});
    CHECK(whole.keyed);
    CHECK(placed(*by("{b}"), row{"x", "c-17"}).key_hash == whole.key_hash);
    CHECK(placed(*by("c-{a}"), row{"17", "x"}).key_hash == whole.key_hash);
    CHECK(placed(*by("{a}-{b}"), row{"c", "17"}).key_hash == whole.key_hash);
    CHECK(placed(*by("c-17"), row{"1", "2"}).key_hash == whole.key_hash);
    CHECK(placed(*by("{a}-{b}"), row{"c", "18"}).key_hash != whole.key_hash);
}

TEST_CASE("A NULL key keeps no order and an empty key is a key") {
    const auto plan = outbox_plan({console()}, {outbox_route({0})});
    CHECK_FALSE(placed(*plan, outbox{.key = std::nullopt}.row()).keyed);
    CHECK(placed(*plan, outbox{.key = ""}.row()).keyed);

    auto route = outbox_route({0});
    route.key = "{topic}/{key}";
    const auto joined = outbox_plan({console()}, {route});
    CHECK_FALSE(placed(*joined, outbox{.key = std::nullopt}.row()).keyed);
    record out;
    build_well(*joined, outbox{.key = std::nullopt}.row(), 0, out);
    CHECK_FALSE(out.key);
}

TEST_CASE("Equal destinations are one target and different ones are not") {
    const auto target = [](const std::string& url, const outbox& from) {
        return placed(*outbox_plan({http("hook", url)}, {outbox_route({0})}), from.row())
            .target_hash;
    };
    const auto base = target("http://h/a%20b/x", {});
    CHECK(target("http://h/{topic}/x", {.topic = "a b"}) == base);
    CHECK(target("http://h/{topic}/{key}", {.topic = "a b", .key = "x"}) == base);
    CHECK(target("http://h/{topic}/{key}", {.topic = "a b", .key = "y"}) != base);

    const auto topics = outbox_plan({kafka("k")}, {outbox_route({0})});
    CHECK(placed(*topics, outbox{.topic = "a"}.row()).target_hash !=
          placed(*topics, outbox{.topic = "b"}.row()).target_hash);
    CHECK(placed(*topics, outbox{.topic = "a", .key = "1"}.row()).target_hash ==
          placed(*topics, outbox{.topic = "a", .key = "2"}.row()).target_hash);
}

TEST_CASE("One topic in two clusters is two targets") {
    const auto plan = outbox_plan({kafka("here"), kafka("there")}, {outbox_route({0, 1})});
    std::vector<placement> placements;
    const auto from = outbox{}.row();
    REQUIRE(plan->decide(from.view(), placements).what == routing::verdict::routed);
    CHECK(placements[0].target_hash != placements[1].target_hash);
}
