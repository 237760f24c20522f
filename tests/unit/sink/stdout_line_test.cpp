#include "sink/stdout_line.hpp"

#include "support/catch.hpp"

using namespace walrelay;

namespace {

event::record base() {
    event::record record;
    record.id = "0b9f";
    record.key = "k\"1";
    record.type = "order.paid";
    record.body = "{\"a\": 1.10,\n \"b\":\"x\"}";
    record.content_type = "application/json";
    record.headers = {{"traceparent", "00-1"}, {"none", std::nullopt}};
    record.table = "walrelay.outbox";
    record.position.commit_lsn = lsn{0x16B374D848};
    return record;
}

std::string line(const event::record& record) {
    std::string out = "before\n";
    sink::append_line(out, record, "console");
    REQUIRE(out.rfind("before\n", 0) == 0);
    return out.substr(7);
}

const std::string start =
    "{\"id\":\"0b9f\",\"table\":\"walrelay.outbox\",\"lsn\":\"16/"
    "B374D848\",\"sink\":\"console\",\"key\":\"k\\\"1\","
    "\"type\":\"order.paid\",\"headers\":{\"traceparent\":\"00-1\",\"none\":null},";

}  // namespace

TEST_CASE("an event is one line whose JSON payload stands there as it was written") {
    CHECK(line(base()) == start + "\"payload\":{\"a\": 1.10,  \"b\":\"x\"}}\n");
}

TEST_CASE("a payload that says JSON and is none is shown as a string") {
    auto record = base();
    record.body = "{\"a\":\n";
    CHECK(line(record) == start + "\"payload\":\"{\\\"a\\\":\\n\"}\n");
}

TEST_CASE("text stays text even where it would be JSON, and bytes come as base64") {
    auto record = base();
    record.content_type = "text/plain";
    record.body = "12";
    CHECK(line(record) == start + "\"payload\":\"12\"}\n");
    record.content_type = "Application/JSON ; charset=utf-8";
    CHECK(line(record) == start + "\"payload\":12}\n");
    record.content_type = "application/cloudevents+json";
    CHECK(line(record) == start + "\"payload\":12}\n");
    for (const auto& [bytes, text] :
         {std::pair{"\xFF", "/w=="}, std::pair{"\xFF\x01", "/wE="},
          std::pair{"\xFF\x01\x02", "/wEC"}, std::pair{"\xFF\x01\x02\x03", "/wECAw=="}}) {
        record.body = bytes;
        CHECK(line(record) == start + "\"payload_base64\":\"" + text + "\"}\n");
    }
}

TEST_CASE("what is not there is null, and a topic is shown where there is one") {
    auto record = base();
    record.key.reset();
    record.type.reset();
    record.body.reset();
    record.headers.clear();
    record.destination = "orders";
    CHECK(line(record) ==
          "{\"id\":\"0b9f\",\"table\":\"walrelay.outbox\",\"lsn\":\"16/"
          "B374D848\",\"sink\":\"console\","
          "\"topic\":\"orders\",\"key\":null,\"type\":null,\"headers\":{},\"payload\":null}\n");
}
