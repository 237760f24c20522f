// config/reference.yaml: every option that the reader knows, with its default.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "support/catch.hpp"
#include "test_secrets.hpp"

namespace walrelay::config {

namespace {

std::string reference_text() {
    std::ifstream stream{std::string{WALRELAY_SOURCE_DIR} + "/config/reference.yaml"};
    REQUIRE(stream);
    return {std::istreambuf_iterator<char>{stream}, {}};
}

/// The keys that the reader names where it finds one that it doesn't know.
std::vector<std::string> known_keys(const std::string& yaml) {
    const reading result = read_text(yaml, "FILE", test_secrets());
    for (const problem& each : result.problems) {
        const std::size_t names = each.text.find("allowed: ");
        if (each.text.find("unknown key") != 0 || names == std::string::npos) continue;
        std::vector<std::string> keys;
        std::istringstream list{each.text.substr(names + 9)};
        for (std::string key; std::getline(list >> std::ws, key, ',');)
            keys.push_back(key);
        return keys;
    }
    FAIL("no unknown key in: " << yaml);
    return {};
}

}  // namespace

TEST_CASE("reference.yaml shows every option that the reader knows") {
    const std::string reference = reference_text();
    std::size_t shown = 0;
    for (const std::string section :
         {"?: x", "source: { ?: x }", "sinks: { a: { ?: x } }", "sinks: { a: { kafka: { ?: x } } }",
          "sinks: { a: { http: { ?: x } } }", "sinks: { a: { http: { tls: { ?: x } } } }",
          "routes: [ { ?: x } ]", "routes: [ { shape: { ?: x } } ]", "retry: { ?: x }",
          "limits: { ?: x }", "admin: { ?: x }", "log: { ?: x }"}) {
        std::string yaml = section;
        yaml.replace(yaml.find('?'), 1, "unheard-of-option");
        for (const std::string& key : known_keys(yaml)) {
            INFO(section << " " << key);
            const bool in_a_line = reference.find(" " + key + ":") != std::string::npos ||
                                   reference.find("\n" + key + ":") != std::string::npos;
            CHECK(in_a_line);
            ++shown;
        }
    }
    CHECK(shown > 50);
}

TEST_CASE("The values that reference.yaml calls defaults are the defaults") {
    const reading reference = read_text(reference_text(), "FILE", test_secrets());
    REQUIRE(reference.model);
    const model& given = *reference.model;
    const model defaults;
    CHECK(given.source.give_up_after == defaults.source.give_up_after);
    CHECK(given.source.exit_delay == defaults.source.exit_delay);
    CHECK(given.source.progress == defaults.source.progress);
    CHECK(given.limits.in_flight_events == defaults.limits.in_flight_events);
    CHECK(given.limits.in_flight_bytes == defaults.limits.in_flight_bytes);
    CHECK(given.limits.replay_events == defaults.limits.replay_events);
    CHECK(given.limits.event_bytes == defaults.limits.event_bytes);
    CHECK(given.limits.hold == defaults.limits.hold);
    CHECK(given.on_event_error == defaults.on_event_error);
    CHECK(given.retry.max_attempts == defaults.retry.max_attempts);
    CHECK(given.retry.max_age == defaults.retry.max_age);
    CHECK(given.admin.listen == defaults.admin.listen);
    CHECK(given.log.level == defaults.log.level);
    CHECK(given.log.format == defaults.log.format);
    const auto& http = std::get<http_sink>(given.sinks.at(1).kind);
    CHECK(http.timeout == http_sink{}.timeout);
    CHECK(http.connections == http_sink{}.connections);
    CHECK(http.rate == request_rate{500, std::chrono::seconds{1}});
    CHECK(http_sink{}.rate.count == 0);
    CHECK(http.success == http_sink{}.success);
    CHECK(http.metadata == http_sink{}.metadata);
    const auto& kafka = std::get<kafka_sink>(given.sinks.at(0).kind);
    CHECK(kafka.properties.empty());
    CHECK(kafka.metadata == kafka_sink{}.metadata);
}

TEST_CASE("The defaults of the shape debezium that reference.yaml writes out are the defaults") {
    const reading reference = read_text(reference_text(), "FILE", test_secrets());
    REQUIRE(reference.model);
    std::vector<mapped_shape> shapes;
    for (const route& each : reference.model->routes) {
        const auto* const shape = std::get_if<mapped_shape>(&each.shape);
        if (shape != nullptr && shape->debezium) shapes.push_back(*shape);
    }
    REQUIRE(shapes.size() == 2);  // by its name, and with all options
    CHECK(shapes[0].id == shapes[1].id);
    CHECK(shapes[0].key == shapes[1].key);
    CHECK(shapes[0].type == shapes[1].type);
    CHECK(shapes[0].payload == shapes[1].payload);
    CHECK(shapes[0].headers == shapes[1].headers);
    CHECK(shapes[0].header_values == shapes[1].header_values);
}

}  // namespace walrelay::config
