// What people look for an event by, also where no record can be made of it.
#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

outline routed(const table_plan& plan, const row& from, std::size_t sink = 0) {
    std::vector<placement> placements;
    const routing to = plan.decide(from.view(), placements);
    REQUIRE(to.what == routing::verdict::routed);
    return plan.outline_for(from.view(), to.route, sink);
}

}  // namespace

TEST_CASE("What is told of a row is what its record has") {
    auto route = outbox_route({0, 1});
    route.key = "k-{key}";
    const auto plan = outbox_plan({http("h", "http://h/in/{topic}"), console()}, {route});
    const row from = outbox{}.row();
    record built;
    build_well(*plan, from, 0, built);
    const outline seen = routed(*plan, from);
    CHECK(seen.destination == built.destination);
    CHECK(seen.key == "k-c-17");
    CHECK(seen.key == built.key);
    CHECK(seen.type == built.type);
    CHECK(routed(*plan, from, 1).destination.empty());
    CHECK(routed(*plan, outbox{.key = std::nullopt, .type = std::nullopt}.row()).key ==
          std::nullopt);
}

TEST_CASE("A row that can't be sent tells its key, type and destination as far as it has them") {
    const auto plan = outbox_plan({kafka("k")}, {outbox_route({0})});
    for (const auto& refused : {outbox{.raw = "\\x00"}, outbox{.id = std::nullopt},
                                outbox{.headers = "[1]"}, outbox{.topic = "no topic"}}) {
        record out;
        REQUIRE_FALSE(build(*plan, refused.row(), 0, out));
        const outline seen = routed(*plan, refused.row());
        CHECK(seen.key == "c-17");
        CHECK(seen.type == "order.created");
        CHECK(seen.destination == refused.topic);
    }
    const outline nowhere = routed(*plan, outbox{.topic = std::nullopt}.row());
    CHECK(nowhere.destination.empty());
    CHECK(nowhere.key == "c-17");
}

TEST_CASE("A secret of a URL is not told") {
    auto sink = http("h", "http://h/s3cret/{topic}");
    std::get<config::http_sink>(sink.kind).shown_url = "http://h/***/{topic}";
    const auto plan = outbox_plan({sink}, {outbox_route({0})});
    CHECK(routed(*plan, outbox{}.row()).destination == "/***/orders.created");
}

TEST_CASE("A row that no route takes tells what the routes of its table would agree on") {
    auto orders = outbox_route({0});
    orders.where.emplace_back("topic", std::vector<std::string>{"x"});
    const row from = outbox{}.row();
    CHECK(outbox_plan({console()}, {orders})->outline_of(from.view()).key == "c-17");
    auto other = orders;
    other.key = "{topic}";
    const auto disagreeing = outbox_plan({console()}, {orders, other, orders});
    const outline seen = disagreeing->outline_of(from.view());
    CHECK(seen.key == std::nullopt);
    CHECK(seen.type == "order.created");
    CHECK(seen.destination.empty());
    CHECK(disagreeing->outline_of(row{"1"}.view()).type == std::nullopt);
}

TEST_CASE("A row of our own tables tells its key where no route sends any") {
    auto dropped = outbox_route({});
    dropped.where.emplace_back("topic", std::vector<std::string>{"x"});
    const outline event = outbox_plan({console()}, {dropped})->outline_of(outbox{}.row().view());
    CHECK(event.key == "c-17");
    CHECK(event.type == "order.created");
    const outline push =
        router::plan_without_routes(dispatch_table())->outline_of(dispatch{}.row().view());
    CHECK(push.key == "c-17");
    CHECK(push.type == std::nullopt);
    const auto other = router::plan_without_routes(table("s", "t", {{"key", oid::text}}));
    CHECK(other->outline_of(row{"k"}.view()).key == std::nullopt);
}
