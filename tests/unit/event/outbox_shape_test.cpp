#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

plan_ptr to_kafka() {
    return outbox_plan({kafka("events")}, {outbox_route({0})});
}

}  // namespace

TEST_CASE("An outbox row becomes a record with its id, key, type, topic and payload") {
    const auto plan = to_kafka();
    const auto from = outbox{}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.id == "0192a1f0-0000-7000-8000-000000000001");
    CHECK(out.key == "c-17");
    CHECK(out.type == "order.created");
    CHECK(out.destination == "orders.created");
    CHECK(out.body == R"({"total": 12.50})");
    CHECK(out.content_type == "application/json");
    CHECK(out.headers.empty());
    CHECK(out.table == "walrelay.outbox");
    CHECK(out.position.commit_lsn == lsn{0x16'B374'D848});
    CHECK(out.position.commit_time_us == 1'729'324'800'000'001);
    CHECK(out.position.xid == 731);
    CHECK(out.position.ordinal == 1);
    CHECK(out.epoch == 7);
}

TEST_CASE("A JSON payload is sent out of the frame without a copy") {
    const auto plan = to_kafka();
    const auto from = outbox{}.row();
    record out;
    build_well(*plan, from, 0, out);
    std::string_view in_frame;
    for (const auto value : from.view()) {
        if (value.text.starts_with("{\"total")) in_frame = value.text;
    }
    CHECK(out.body_in_frame);
    CHECK(out.body->data() == in_frame.data());
}

TEST_CASE("A raw payload is sent as the bytes that were written") {
    const auto plan = to_kafka();
    const auto from = outbox{.payload = std::nullopt, .raw = "\\x00ff0A0d7f"}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(*out.body == std::string_view("\x00\xff\x0a\x0d\x7f", 5));
    CHECK_FALSE(out.body_in_frame);
    CHECK(out.content_type == "application/octet-stream");
}

TEST_CASE("An empty raw payload is an empty body and two NULLs are none") {
    const auto plan = to_kafka();
    const auto empty = outbox{.payload = std::nullopt, .raw = "\\x"}.row();
    record out;
    build_well(*plan, empty, 0, out);
    REQUIRE(out.body);
    CHECK(out.body->empty());
    const auto none = outbox{.payload = std::nullopt}.row();
    build_well(*plan, none, 0, out);
    CHECK_FALSE(out.body);
    CHECK(out.content_type.empty());
    const auto json_null = outbox{.payload = "null"}.row();
    build_well(*plan, json_null, 0, out);
    CHECK(out.body == "null");
}

TEST_CASE("A row with both payload and raw is refused") {
    CHECK(fault(*to_kafka(), outbox{.raw = "\\x00"}.row()) ==
          "make event walrelay.outbox: both payload and raw are set. Hint: write one of them and "
          "leave the "
          "other NULL");
}

TEST_CASE("A bytea that is not in hex form is refused") {
    for (const char* bad :
         {"", "\\", "x00", "\\x0", "\\x0g", "\\xg0", "\\000abc", "\\x00\n", "\\X00"}) {
        INFO(bad);
        CHECK(fault(*to_kafka(), outbox{.payload = std::nullopt, .raw = bad}.row()) ==
              "make event walrelay.outbox: the bytea of the payload is not in hex form. Hint: the "
              "relay's "
              "session needs bytea_output = hex");
    }
}

TEST_CASE("NULL key and type are none, not empty") {
    const auto plan = to_kafka();
    const auto from = outbox{.key = std::nullopt, .type = std::nullopt}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK_FALSE(out.key);
    CHECK_FALSE(out.type);
    const auto empty = outbox{.key = "", .type = ""}.row();
    build_well(*plan, empty, 0, out);
    CHECK(out.key == "");
    CHECK(out.type == "");
}

TEST_CASE("A row without an id is refused") {
    CHECK(fault(*to_kafka(), outbox{.id = std::nullopt}.row()) ==
          "make event walrelay.outbox: id: column \"id\" is NULL");
    CHECK(fault(*to_kafka(), outbox{.id = ""}.row()) ==
          "make event walrelay.outbox: the id is empty");
}

TEST_CASE("A route's key takes the place of the key column") {
    auto route = outbox_route({0});
    route.key = "{topic}/{key}";
    const auto plan = outbox_plan({kafka("events")}, {route});
    const auto from = outbox{}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.key == "orders.created/c-17");
}

TEST_CASE("A column that was not sent is refused by name wherever it is needed") {
    const auto plan = to_kafka();
    const auto without = [](int column) {
        const std::vector<nullable> values{"41", "id-1", "now",        "orders",    "k",
                                           "t",  "{}",   std::nullopt, std::nullopt};
        row made;
        for (int i = 0; i < 9; ++i) {
            const nullable& value = values[static_cast<std::size_t>(i)];
            if (i == column) {
                made.unchanged();
            } else if (value) {
                made.text(*value);
            } else {
                made.null();
            }
        }
        return made;
    };
    const std::string end =
        " was not sent (unchanged TOAST). Hint: only inserts are events: publish = 'insert'";
    const std::string start = "make event walrelay.outbox: ";
    CHECK(fault(*plan, without(1)) == start + "id: column \"id\"" + end);
    CHECK(fault(*plan, without(3)) == start + "topic: column \"topic\"" + end);
    CHECK(fault(*plan, without(4)) == start + "key: column \"key\"" + end);
    CHECK(fault(*plan, without(5)) == start + "type: column \"type\"" + end);
    CHECK(fault(*plan, without(8)) == start + "headers: column \"headers\"" + end);
    const std::string payload = start + "the value of the payload" + end;
    CHECK(fault(*plan, without(6)) == payload);
    CHECK(fault(*plan, without(7)) == payload);
    record out;
    build_well(*plan, without(2), 0, out);  // a column that no route uses may be missing
}

TEST_CASE("The id of a row is known also when no route takes it") {
    auto only_billing = outbox_route({0});
    only_billing.where.push_back({"topic", {"billing.*"}});
    const auto plan = outbox_plan({console()}, {only_billing});
    CHECK(plan->id_of(outbox{}.row().view(), position()) == "0192a1f0-0000-7000-8000-000000000001");
    CHECK(plan->id_of(outbox{.topic = "billing.x"}.row().view(), position()) ==
          "0192a1f0-0000-7000-8000-000000000001");
    CHECK(plan->id_of(outbox{.id = std::nullopt}.row().view(), position()) ==
          "00000016B374D848-1729324800000001-1");
}

TEST_CASE("A route or sink that the plan does not know is an error") {
    const auto plan = to_kafka();
    const auto from = outbox{}.row();
    record out;
    CHECK(plan->build(from.view(), 3, 0, position(), 1, out).error().cause ==
          "the route is not one of this table");
    CHECK(plan->build(from.view(), 0, 3, position(), 1, out).error().cause ==
          "the sink is not one of the route");
}
