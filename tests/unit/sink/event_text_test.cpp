#include "walrelay/sink/event_text.hpp"

#include "support/catch.hpp"

using namespace walrelay;

namespace {

event::record base() {
    event::record record;
    record.id = "0b9f";
    record.key = "k1";
    record.body = "{\"a\": 1}";
    record.content_type = "application/json";
    record.table = "walrelay.outbox";
    return record;
}

std::string shown(const event::record& record, const sink::preview& wire) {
    std::string out;
    sink::append_delivery(out, record, "events", wire);
    return out;
}

const sink::preview to_topic{"kafka", "topic", "orders", {{"id", "0b9f"}, {"none", std::nullopt}}};

}  // namespace

TEST_CASE("a block names table, position and id") {
    using origin = event::row_position::origin;
    std::string out;
    event::row_position position{lsn{0x16B374D848}, 0, 0, 3};
    sink::append_heading(out, "walrelay.outbox", position, "0b9f");
    CHECK(out == "walrelay.outbox 16/B374D848 row 3, id 0b9f\n");
    position.what = origin::message;
    out.clear();
    sink::append_heading(out, "message:audit", position, "y");
    CHECK(out == "message:audit 16/B374D848 message 3, id y\n");
    position.what = origin::lone_message;
    out.clear();
    sink::append_heading(out, "message:audit", position, "x");
    CHECK(out == "message:audit 16/B374D848 message outside a transaction, id x\n");
}

TEST_CASE("a sink's part shows target, key, type, every header and the body") {
    CHECK(shown(base(), to_topic) ==
          "  to events (kafka)\n"
          "    topic    orders\n"
          "    key      k1\n"
          "    type     NULL\n"
          "    headers  id: 0b9f\n"
          "             none: NULL\n"
          "    body     {\"a\": 1}\n");
    auto record = base();
    record.body.reset();
    CHECK(shown(record, {"discard", {}, {}, {}}) ==
          "  to events (discard)\n"
          "    key      k1\n"
          "    type     NULL\n"
          "    body     NULL\n");
}

TEST_CASE("a body of several lines stays readable, and one that is not text comes as base64") {
    auto record = base();
    record.body = "a\n\nb\n";
    const std::string text = shown(record, to_topic);
    CHECK(text.substr(text.find("    body")) ==
          "    body     a\n             \n             b\n             \n");
    record.body = std::string_view{"\xFF\x00", 2};
    CHECK(shown(record, to_topic).find("body     2 bytes in base64: /wA=\n") != std::string::npos);
    const std::string large(100'000, 'x');
    record.body = large;
    CHECK(shown(record, to_topic).find(large) != std::string::npos);
}

TEST_CASE("nothing of a row reaches the terminal as a control character") {
    const std::string evil = "a\x1B[2J\r\x9B\xC2\x9B\tb";
    auto record = base();
    record.key = evil;
    record.type = evil;
    record.body = "a\x1B[2J\rb";
    std::string out = shown(record, {"http", "url", evil, {{evil, evil}}});
    sink::append_heading(out, evil, {}, evil);
    sink::append_unsent(out, {evil, evil, {}, evil, false, evil});
    for (const char c : out) {
        CHECK((c == '\n' || static_cast<unsigned char>(c) >= 0x20));
    }
    CHECK(out.find("\xC2\x9B") == std::string::npos);
    CHECK(out.find("body     a\\x1b[2J\\x0db\n") != std::string::npos);
}

TEST_CASE("an event that is not sent says why, and by which sink") {
    std::string out;
    sink::append_unsent(out, {"1", "t", {}, std::nullopt, true, "the route says to: none"});
    sink::append_unsent(out, {"1", "t", {}, "events", false, "NULL in a topic"});
    CHECK(out ==
          "  discarded: the route says to: none\n"
          "  to events: event error: NULL in a topic\n");
}
