// What a reload may change in a relay that runs, and what it may not.
#include "walrelay/config/changes.hpp"

#include <string>

#include "support/catch.hpp"
#include "test_secrets.hpp"

namespace walrelay::config {

namespace {

const std::string running =
    "source: { conninfo: 'host=a', slot: s, publication: p }\n"
    "sinks:\n"
    "  events: { kafka: { brokers: 'a:9092', properties: { linger.ms: 5 } } }\n"
    "  workers: { http: { url: 'https://host.example/in', headers: { x: one }, timeout: 3s } }\n"
    "routes:\n"
    "  - { from: walrelay.outbox, to: workers, where: { topic: 'a*' } }\n"
    "  - { from: walrelay.outbox, to: events }\n"
    "retry: { max_attempts: 3 }\n"
    "admin: { listen: '127.0.0.1:9187', token: first }\n";

model model_of(const std::string& text) {
    const reading read = read_text(text, "relay.yaml", test_secrets());
    INFO(report(read));
    REQUIRE(read.model);
    return *read.model;
}

/// With `from` replaced by `to`, once.
changes change(const std::string& from, const std::string& to) {
    std::string fresh = running;
    const auto at = fresh.find(from);
    REQUIRE(at != std::string::npos);
    return compare(model_of(running), model_of(fresh.replace(at, from.size(), to)));
}

}  // namespace

TEST_CASE("A file that says the same, on other lines, changes no map") {
    const changes found = change("source:", "# a remark\n\nsource:");
    CHECK_FALSE(found.map);
    CHECK(found.need_restart.empty());
}

TEST_CASE("Options of a sink and its secrets change no map") {
    for (const auto& [from, to] :
         {std::pair{"linger.ms: 5", "linger.ms: 6"}, std::pair{"x: one", "x: two"},
          std::pair{"timeout: 3s", "timeout: 4s"}, std::pair{"token: first", "token: second"}}) {
        const changes found = change(from, to);
        CAPTURE(from);
        CHECK_FALSE(found.map);
        CHECK(found.need_restart.empty());
    }
}

TEST_CASE("Another way to Postgres is told, so that it is tried first") {
    const changes found = change("host=a", "host=b");
    CHECK(found.conninfo);
    CHECK_FALSE(found.map);
    CHECK(found.need_restart.empty());
}

TEST_CASE("Routes, limits, policies and what is in a record are the map") {
    for (const auto& [from, to] :
         {std::pair{"where: { topic: 'a*' }", "where: { topic: 'b*' }"},
          std::pair{"to: workers, where", "on_event_error: halt, to: workers, where"},
          std::pair{"to: workers, where", "to: [ workers, events ], where"},
          std::pair{"  - { from: walrelay.outbox, to: events }\n", ""},
          std::pair{"max_attempts: 3", "max_attempts: 4"},
          std::pair{"retry:", "limits: { hold: 5s }\nretry:"},
          std::pair{"retry:", "on_event_error: halt\nretry:"},
          std::pair{"host.example/in", "host.example/out"},
          std::pair{"brokers: 'a:9092'", "brokers: 'a:9092', metadata: true"},
          std::pair{"timeout: 3s", "metadata: true"}}) {
        const changes found = change(from, to);
        CAPTURE(from, to);
        CHECK(found.map);
        CHECK(found.need_restart.empty());
    }
}

TEST_CASE("What the relay is bound to needs a restart, and is named without its value") {
    for (const auto& [from, to, named] :
         {std::tuple{"slot: s,", "slot: other,", "source.slot"},
          std::tuple{"publication: p", "publication: [ p, q ]", "source.publication"},
          std::tuple{"127.0.0.1:9187", "127.0.0.1:9188", "admin.listen"},
          std::tuple{"retry:", "log: { format: json }\nretry:", "log.format"},
          std::tuple{"a:9092", "b:9092", "sinks.events.kafka.brokers"},
          std::tuple{"https://host.example/in", "https://other.example/in",
                     "sinks.workers.http.url"},
          std::tuple{"https://host.example/in", "https://host.example:444/in",
                     "sinks.workers.http.url"},
          std::tuple{"  events:", "  more: { discard: {} }\n  events:", "sinks:"}}) {
        const changes found = change(from, to);
        CAPTURE(to);
        REQUIRE(found.need_restart.size() == 1);
        CHECK(found.need_restart.front().starts_with(named));
        CHECK(found.need_restart.front().find("other.example") == std::string::npos);
    }
}

}  // namespace walrelay::config
