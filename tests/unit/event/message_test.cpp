#include <cstring>
#include <random>

#include "sample.hpp"
#include "support/catch.hpp"
#include "walrelay/event/message_row.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

using origin = row_position::origin;

config::route message_route(std::string prefix, std::vector<std::size_t> to) {
    config::route made;
    made.from_message = std::move(prefix);
    made.to = std::move(to);
    made.at = {"map.yaml", 15, 5};
    return made;
}

row_position third_message() {
    return {lsn{0x16'B374'D848}, 1'729'324'800'000'001, 731, 3, origin::message};
}

message_row row_of(std::string_view content, const row_position& at = third_message()) {
    return {std::as_bytes(std::span{content}), at};
}

/// "name=value;" of the columns that are not NULL.
std::string columns_of(const message_row& made) {
    const auto table = message_relation("p");
    std::string all;
    std::size_t i = 0;
    for (const auto value : made.row()) {
        if (value.what == pgoutput::value_view::kind::text) {
            all.append(table->columns[i].name).append("=").append(value.text) += ';';
        }
        ++i;
    }
    CHECK(i == table->columns.size());
    CHECK(made.row().size() == i);
    return all;
}

std::string columns_of(std::string_view content) {
    return columns_of(row_of(content));
}

const std::string third = "id=00000016B374D848-1729324800000001-m3;";

/// As a body: not taken apart.
std::string whole(std::string_view content) {
    std::string text = third + "raw=\\x";
    for (const char c : content) {
        for (const int shift : {4, 0})
            text += "0123456789abcdef"[(static_cast<unsigned char>(c) >> shift) & 15];
    }
    return text + ";";
}

struct sent_message {
    sent_message(const table_plan& plan, std::string_view content,
                 const row_position& at = third_message())
        : made{row_of(content, at)} {
        std::vector<placement> placements;
        const routing decided = plan.decide(made.row(), placements);
        REQUIRE(decided.what == routing::verdict::routed);
        const auto built = plan.build(made.row(), decided.route, 0, at, 7, out);
        if (!built) FAIL("the message was refused: " << built.error().text());
    }

    message_row made;
    record out;
};

std::shared_ptr<const table_plan> plan_of(const config::model& map, std::string_view prefix) {
    const auto routes = router::make(map);
    if (!routes) FAIL("the map was refused: " << routes.error().text());
    return routes->message_plan(prefix);
}

}  // namespace

TEST_CASE("What emit_wal writes is taken apart and the payload keeps its text") {
    CHECK(columns_of(R"({"id" : "0192a1f0-0000-7000-8000-000000000001", "topic" : "orders", )"
                     R"("key" : "c\u00e9\"17", "type" : null, "headers" : {"a": "b"}, )"
                     R"("payload" : { "total": 12.50,  "n": 1e400 }})") ==
          "id=0192a1f0-0000-7000-8000-000000000001;topic=orders;key=c\xC3\xA9\"17;"
          R"(payload={ "total": 12.50,  "n": 1e400 };headers={"a": "b"};)");
    CHECK(columns_of(R"({"topic":"t"})") == third + "topic=t;");
    CHECK(columns_of("\n{ \"topic\"\t:\r\"\" } ") == third + "topic=;");
    CHECK(columns_of(R"({"\u0074opic":"t","payload":"x\ty"})") ==
          third + R"(topic=t;payload="x\ty";)");
    CHECK(columns_of(R"({"topic":"t","payload":null,"id":null,"key":null,"headers":null})") ==
          third + "topic=t;");
    CHECK(columns_of(R"({"topic":"t","payload":false})") == third + "topic=t;payload=false;");
}

TEST_CASE("Any other content of a message is the body as it is") {
    for (const std::string_view content : {"",
                                           " ",
                                           "x",
                                           "null",
                                           "{}",
                                           "[]",
                                           "{",
                                           "\"topic\"",
                                           "{\"topic\":1}",
                                           "{\"topic\":null}",
                                           "{\"topic\":\"t\",\"other\":1}",
                                           "{\"Topic\":\"t\"}",
                                           "{\"topic\":\"t\",\"topic\":\"t\"}",
                                           "{\"topic\":\"t\",\"key\":1}",
                                           "{\"topic\":\"t\",\"key\":null,\"key\":\"k\"}",
                                           "{\"topic\":\"t\",\"id\":7}",
                                           "{\"topic\":\"t\",\"type\":true}",
                                           "{\"topic\":\"t\",\"headers\":[]}",
                                           "{\"topic\":\"t\",\"headers\":\"{}\"}",
                                           "{\"topic\":\"t\",\"raw\":\"x\"}",
                                           "{\"payload\":{}}",
                                           "{\"topic\":\"t\"} {}",
                                           "{\"topic\":\"t\",}",
                                           "{\"topic\":\"t\"",
                                           "{\"topic\":\"t\",\"payload\":01}",
                                           "{\"topic\":\"t\",\"payload\":}",
                                           "{\"topic\":\"\xff\"}",
                                           "{\"topic\":\"\\ud800\"}",
                                           "{\"topic\":\"t\",\"payload\":[1,]}",
                                           "\xEF\xBB\xBF{\"topic\":\"t\"}",
                                           "{\"topic\":\"a\nb\"}",
                                           "{topic:\"t\"}"}) {
        INFO(content);
        CHECK(columns_of(content) == whole(content));
    }
    const std::string_view nul{"{\"topic\":\"t\"}\0", 14};
    CHECK(columns_of(nul) == whole(nul));
    const std::string_view bytes{"\0\xff\x80\n", 4};
    CHECK(columns_of(bytes) == whole(bytes));
}

TEST_CASE("A message that is nested without end is no danger") {
    const std::size_t depth = 5'000'000;
    const std::string open(depth, '[');
    CHECK(row_of(open).size() > 2 * depth);
    const std::string mine = R"({"topic":"t","payload":)" + open + std::string(depth, ']') + "}";
    CHECK(row_of(mine).size() == 2 * depth + 56);
    std::string objects = R"({"topic":"t","payload":)";
    for (std::size_t i = 0; i < depth / 10; ++i)
        objects += R"({"a":[)";
    CHECK(row_of(objects).size() > 2 * objects.size());
}

TEST_CASE("The row of a message stays where it is when its bytes are given away") {
    message_row made = row_of(R"({"topic":"t","payload":[1]})");
    const auto row = made.row();
    message_row moved = std::move(made);
    const auto bytes = moved.release();
    std::string topic;
    for (const auto value : row) {
        if (value.text.starts_with('t')) topic = value.text;
    }
    CHECK(topic == "t");
}

TEST_CASE("Messages are named by their place, apart from rows and from those outside") {
    const auto id = [](const row_position& at) {
        const std::string all = columns_of(row_of("x", at));
        return all.substr(0, all.find(';'));
    };
    row_position at = third_message();
    CHECK(id(at) == "id=00000016B374D848-1729324800000001-m3");
    at.what = origin::row;
    CHECK(id(at) == "id=00000016B374D848-1729324800000001-3");
    CHECK(id({lsn{0x16'B374'D848}, 0, 0, 0, origin::lone_message}) == "id=00000016B374D848-m");
}

TEST_CASE("A message becomes a record as a row of the outbox does") {
    const auto plan =
        plan_of(model({kafka("k")}, {message_route("walrelay", {0}), message_route("audit", {0})}),
                "walrelay");
    REQUIRE(plan);
    CHECK(plan->table() == "message:walrelay");
    const sent_message sent{*plan, R"({"id": "e-1", "topic": "orders", "key": "k", "type": "made",
        "headers": {"a": "1", "content-type": "text/x"}, "payload": {"x":  1}})"};
    const record& out = sent.out;
    CHECK(out.id == "e-1");
    CHECK(out.destination == "orders");
    CHECK(out.key == "k");
    CHECK(out.type == "made");
    CHECK(out.body == R"({"x":  1})");
    CHECK(out.body_in_frame);
    CHECK(out.content_type == "text/x");
    REQUIRE(out.headers.size() == 1);
    CHECK(out.headers[0].name == "a");
    CHECK(out.table == "message:walrelay");
    CHECK(out.position.what == origin::message);
    CHECK(plan->id_of(sent.made.row(), third_message()) == "e-1");
}

TEST_CASE("Bytes of any kind pass through a message whose route names the topic") {
    auto route = message_route("blob", {0});
    route.topic = "blobs";
    const auto plan = plan_of(model({kafka("k")}, {route}), "blob");
    REQUIRE(plan);
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    for (const std::size_t size : {0, 1, 17, 70'000}) {
        std::string content;
        for (std::size_t i = 0; i < size; ++i)
            content += static_cast<char>(random() & 0xFF);
        const sent_message sent{*plan, content};
        CHECK(sent.out.body == content);
        CHECK(sent.out.destination == "blobs");
        CHECK(sent.out.content_type == "application/octet-stream");
        CHECK_FALSE(sent.out.key);
    }
}

TEST_CASE("A message without a topic of its own is an event error where the route names none") {
    const auto plan = plan_of(model({kafka("k")}, {message_route("p", {0})}), "p");
    REQUIRE(plan);
    const message_row made = row_of("hello");
    std::vector<placement> placements;
    REQUIRE(plan->decide(made.row(), placements).what == routing::verdict::routed);
    record out;
    const auto built = plan->build(made.row(), 0, 0, third_message(), 1, out);
    REQUIRE_FALSE(built);
    CHECK(built.error().text() == "make event message:p: topic: column \"topic\" is NULL");
    CHECK(plan->id_of(made.row(), third_message()) == "00000016B374D848-1729324800000001-m3");
}

TEST_CASE("Messages under a prefix that no route names are nobody's") {
    const auto with = router::make(model({console()}, {message_route("walrelay", {0})}));
    REQUIRE(with.has_value());
    CHECK(with->wants_messages());
    CHECK(with->message_plan("walrelay"));
    for (const char* other : {"", "walrela", "walrelay2", "Walrelay", "message:walrelay"})
        CHECK_FALSE(with->message_plan(other));
    CHECK_FALSE(with->names("", "walrelay"));
    const auto without = router::make(model({console()}, {outbox_route({0})}));
    REQUIRE(without.has_value());
    CHECK_FALSE(without->wants_messages());
    CHECK_FALSE(without->message_plan("walrelay"));
}

TEST_CASE("The first route of a prefix whose where matches takes the message") {
    auto billing = message_route("p", {0});
    billing.where.push_back({"topic", {"billing.*"}});
    auto audit = message_route("p", {});
    audit.where.push_back({"type", {"audit"}});
    auto other = message_route("q", {0});
    const auto routes = router::make(model({console()}, {other, billing, audit}));
    REQUIRE(routes.has_value());
    const auto plan = routes->message_plan("p");
    REQUIRE(plan);
    std::vector<placement> placements;
    const auto decide = [&](std::string_view content) {
        const message_row made = row_of(content);
        return plan->decide(made.row(), placements);
    };
    CHECK(decide(R"({"topic":"billing.paid"})").route == 1);
    CHECK(decide(R"({"topic":"x","type":"audit"})").what == routing::verdict::discarded);
    CHECK(decide(R"({"topic":"x"})").what == routing::verdict::no_route);
    CHECK(decide("billing.paid").what == routing::verdict::no_route);
}

TEST_CASE("A route from messages that uses another column is refused with its place") {
    auto route = message_route("p", {0});
    route.where.push_back({"tenant", {"*"}});
    route.key = "{customer}";
    const auto made = router::make(model({console()}, {route}));
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().text() ==
          "map message:p: column \"tenant\" (used as where by the route at map.yaml:15:5) does not "
          "exist; column \"customer\" (used as key by the route at map.yaml:15:5) does not exist. "
          "Hint: correct the route; a message has id, topic, key, type, payload, raw, headers");
}
