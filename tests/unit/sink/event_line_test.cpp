#include "walrelay/sink/event_line.hpp"

#include <nlohmann/json.hpp>

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

TEST_CASE("a header into which a route put a secret stands there without it") {
    auto record = base();
    record.headers = {{"x-token", "S3CR3T", true}};
    CHECK(line(record).find("\"headers\":{\"x-token\":\"***\"}") != std::string::npos);
}

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

TEST_CASE("a push shows its workflow, the attempt as a number") {
    auto record = base();
    record.headers.clear();
    record.body = "1";
    record.push = {"0192-w", "12", "mail \"a\"", "send"};
    CHECK(
        line(record) ==
        "{\"id\":\"0b9f\",\"table\":\"walrelay.outbox\",\"lsn\":\"16/"
        "B374D848\",\"sink\":\"console\","
        "\"key\":\"k\\\"1\",\"type\":\"order.paid\",\"workflow\":{\"id\":\"0192-w\",\"attempt\":12,"
        "\"queue\":\"mail \\\"a\\\"\",\"name\":\"send\"},\"headers\":{},\"payload\":1}\n");
    for (const char* odd : {"", "01", "x", "1\"", "99999999999"}) {
        record.push->attempt = odd;
        CHECK(nlohmann::json::parse(line(record))["workflow"]["attempt"] == odd);
    }
}

TEST_CASE("the name of a row's header can't end the JSON string that holds it") {
    auto record = base();
    record.headers = {{"a\":1,\"b", "x"}};
    const auto parsed = nlohmann::json::parse(line(record));
    CHECK(parsed["headers"].size() == 1);
    CHECK(parsed["headers"]["a\":1,\"b"] == "x");
}

TEST_CASE("what a sink would send has its topic or URL and all of its headers") {
    auto record = base();
    record.destination = "/hooks";
    const sink::preview shown{"http", "url", "https://h/hooks", {{"webhook-id", "0b9f"}}};
    std::string out;
    sink::append_line(out, record, "workers", shown);
    const auto parsed = nlohmann::json::parse(out);
    CHECK(parsed["url"] == "https://h/hooks");
    CHECK_FALSE(parsed.contains("topic"));
    CHECK(parsed["sink"] == "workers");
    CHECK(parsed["headers"] == nlohmann::json{{"webhook-id", "0b9f"}});
    CHECK(out.back() == '\n');
}

TEST_CASE("a number that no double can hold is JSON all the same") {
    event::record record = base();
    record.body = "{\"n\": 1e400}";
    std::string out;
    sink::append_line(out, record, "console");
    CHECK(out.find("\"payload\":{\"n\": 1e400}") != std::string::npos);
}

TEST_CASE("an event that is not sent says whether that is on purpose, and why") {
    sink::unsent_event event{"7",       "shop.mail", base().position,
                             "workers", false,       "NULL in a topic"};
    std::string out;
    sink::append_unsent_line(out, event);
    CHECK(out ==
          "{\"id\":\"7\",\"table\":\"shop.mail\",\"lsn\":\"16/B374D848\",\"sink\":\"workers\","
          "\"not_sent\":\"event_error\",\"reason\":\"NULL in a topic\"}\n");
    event.sink.reset();
    event.discarded = true;
    out.clear();
    sink::append_unsent_line(out, event);
    const auto parsed = nlohmann::json::parse(out);
    CHECK(parsed["sink"].is_null());
    CHECK(parsed["not_sent"] == "discarded");
}
