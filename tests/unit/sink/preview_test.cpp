#include "walrelay/sink/preview.hpp"

#include <algorithm>

#include "support/catch.hpp"

using namespace walrelay;

namespace {

using headers = std::vector<std::pair<std::string, std::optional<std::string>>>;

event::record base() {
    event::record record;
    record.id = "0b9f";
    record.destination = "orders";
    record.key = "k1";
    record.type = "order.paid";
    record.body = "{}";
    record.content_type = "application/json";
    record.headers = {{"traceparent", "00-1"}, {"none", std::nullopt}};
    record.table = "walrelay.outbox";
    record.position = {lsn{0x16B374D848}, 0, 77, 3};
    return record;
}

event::record push() {
    event::record record = base();
    record.destination = "/mail";
    record.push = {"0192-w", "2", "mail\n", "sÿnd"};
    return record;
}

template <class Options>
std::unique_ptr<sink::previewer> make(Options options) {
    auto made = sink::make_previewer({"out", std::move(options), {}}, config::limits{});
    REQUIRE(made.has_value());
    return std::move(*made);
}

template <class Options>
sink::preview shown(const event::record& record, Options options) {
    sink::preview out;
    const auto fault = make(std::move(options))->show(record, out);
    CHECK(fault.value_or("") == "");
    return out;
}

std::string value(const sink::preview& shown, std::string_view name) {
    const auto found = std::find_if(shown.headers.begin(), shown.headers.end(),
                                    [&](const auto& one) { return one.first == name; });
    return found == shown.headers.end() ? "(absent)" : found->second.value_or("(null)");
}

config::kafka_sink kafka(bool metadata = false) {
    return {"localhost:1", {}, metadata};
}

config::http_sink http() {
    config::http_sink options;
    options.url = "https://hooks.example/x";
    return options;
}

}  // namespace

TEST_CASE("a Kafka record shows its topic and its headers in the order of the wire") {
    const auto wire = shown(base(), kafka());
    CHECK(wire.kind == "kafka");
    CHECK(wire.target_name == "topic");
    CHECK(wire.target == "orders");
    CHECK(wire.headers == headers{{"traceparent", "00-1"},
                                  {"none", std::nullopt},
                                  {"content-type", "application/json"},
                                  {"id", "0b9f"},
                                  {"type", "order.paid"}});
}

TEST_CASE("a push into Kafka adds its four headers, and a row can't pass its own for ours") {
    auto record = push();
    record.destination = "mail";
    record.headers = {{"queue", "forged"}};
    const auto wire = shown(record, kafka(true));
    CHECK(wire.headers == headers{{"queue", "forged"},
                                  {"content-type", "application/json"},
                                  {"id", "0b9f"},
                                  {"type", "order.paid"},
                                  {"workflow-id", "0192-w"},
                                  {"workflow-attempt", "2"},
                                  {"queue", "mail\n"},
                                  {"name", "sÿnd"},
                                  {"walrelay-lsn", "16/B374D848"},
                                  {"walrelay-seq", "3"},
                                  {"walrelay-xid", "77"},
                                  {"walrelay-table", "walrelay.outbox"},
                                  {"walrelay-epoch", "0"}});
}

TEST_CASE("a record of Debezium's style has the id, then the row's own headers, and no other") {
    auto record = base();
    record.style = event::header_style::debezium;
    record.headers = {{"eventType", "Paid"}, {"Content-Type", "a/b"}, {"none", std::nullopt}};
    CHECK(shown(record, kafka(true)).headers == headers{{"id", "0b9f"},
                                                        {"eventType", "Paid"},
                                                        {"Content-Type", "a/b"},
                                                        {"none", std::nullopt}});
}

TEST_CASE("messages have a walrelay-seq that no row has") {
    using origin = event::row_position::origin;
    auto record = base();
    record.position.what = origin::message;
    record.position.ordinal = 0;
    CHECK(value(shown(record, kafka(true)), "walrelay-seq") == "m0");
    record.position.ordinal = 4'294'967'295U;
    CHECK(value(shown(record, kafka(true)), "walrelay-seq") == "m4294967295");
    record.position.what = origin::lone_message;
    record.position.ordinal = 0;
    CHECK(value(shown(record, kafka(true)), "walrelay-seq") == "m");
    auto options = http();
    options.metadata = true;
    record.destination = "/x";
    CHECK(value(shown(record, options), "x-walrelay-seq") == "m");
}

TEST_CASE("a request shows its whole URL and every header, and masks what the sink map sets") {
    auto options = http();
    options.headers = {
        {"Authorization", "Bearer S3CR3T"}, {"x-api-key", "S3CR3T"}, {"User-Agent", "shop"}};
    options.signing = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
    auto record = base();
    record.destination = "/hooks/a?b=c";
    const auto wire = shown(record, options);
    CHECK(wire.kind == "http");
    CHECK(wire.target_name == "url");
    CHECK(wire.target == "https://hooks.example/hooks/a?b=c");
    CHECK(value(wire, "Host") == "hooks.example");
    CHECK(value(wire, "Authorization") == "***");
    CHECK(value(wire, "x-api-key") == "***");
    CHECK(value(wire, "User-Agent") == "shop");
    CHECK(value(wire, "Content-Type") == "application/json");
    CHECK(value(wire, "Content-Length") == "2");
    CHECK(value(wire, "webhook-id") == "0b9f");
    CHECK(value(wire, "webhook-signature").rfind("v1,", 0) == 0);
    CHECK(value(wire, "x-walrelay-key") == "k1");
    CHECK(value(wire, "x-walrelay-attempt") == "1");
    CHECK(value(wire, "traceparent") == "00-1");
    for (const auto& [name, text] : wire.headers)
        CHECK(text.value_or("").find("S3CR3T") == std::string::npos);
    record.destination = "?q=1";
    CHECK(shown(record, options).target == "https://hooks.example/?q=1");
}

TEST_CASE("what is secret in the path or query of a URL, or in a header of a route, is ***") {
    auto record = base();
    record.destination = "/hooks/***?k=***";
    record.secret_destination = "/hooks/S3CR3T?k=S3CR3T";
    record.headers = {{"x-plain", "1"}, {"X-Token", "S3CR3T", true}};
    const auto wire = shown(record, http());
    CHECK(wire.target == "https://hooks.example/hooks/***?k=***");
    CHECK(value(wire, "X-Token") == "***");
    CHECK(value(wire, "x-plain") == "1");
    record.destination = "orders";
    record.secret_destination = {};
    CHECK(value(shown(record, kafka()), "X-Token") == "***");
    CHECK(value(shown(record, config::stdout_sink{}), "X-Token") == "***");
}

TEST_CASE("what a sink would refuse is told instead, and options that no sink takes fail at once") {
    sink::preview out;
    auto record = base();
    record.destination = "a b";
    CHECK(make(kafka())->show(record, out).value_or("").find("topic") != std::string::npos);
    const std::string large(70'000, 'k');
    record = base();
    record.key = large;
    CHECK(make(kafka())->show(record, out) == "the key has 70000 bytes, at most 65536 are allowed");
    record = base();
    const std::string body(2'000'000, 'b');
    record.body = body;
    CHECK(make(kafka())->show(record, out).value_or("").find("message.max.bytes") !=
          std::string::npos);
    record = base();
    record.destination = "/x";
    record.headers = {{"host", "evil"}};
    CHECK(make(http())->show(record, out).value_or("").find("header \"host\"") !=
          std::string::npos);

    const auto wrong = sink::make_previewer(
        {"out", config::kafka_sink{"h:1", {{"no.such", "1"}}}, {}}, config::limits{});
    REQUIRE_FALSE(wrong.has_value());
    CHECK(wrong.error().text().find("no.such") != std::string::npos);
    auto options = http();
    options.headers = {{"Host", "x"}};
    const auto refused = sink::make_previewer({"out", options, {}}, config::limits{});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().text().find("sinks.out.http.headers") != std::string::npos);
}

TEST_CASE("a sink without a network shows the row's own headers and no target") {
    for (const auto& wire :
         {shown(base(), config::stdout_sink{}), shown(base(), config::discard_sink{})}) {
        CHECK(wire.target_name.empty());
        CHECK(wire.headers == headers{{"traceparent", "00-1"}, {"none", std::nullopt}});
    }
}
