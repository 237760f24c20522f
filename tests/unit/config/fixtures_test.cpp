// Each bad file of tests/fixtures/config gives exactly the text that stands beside it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "support/catch.hpp"
#include "test_secrets.hpp"

namespace walrelay::config {

namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
    std::ifstream stream{path, std::ios::binary};
    REQUIRE(stream);
    return {std::istreambuf_iterator<char>{stream}, {}};
}

/// The names, without their endings, of the files in `folder` that end in `extension`.
std::set<std::string> names(const fs::path& folder, const std::string& extension) {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator{folder}) {
        if (entry.path().extension() == extension) out.insert(entry.path().stem().string());
    }
    return out;
}

}  // namespace

TEST_CASE("Each bad configuration gets its exact problems, and no secret shows up in them") {
    const fs::path folder = fs::path{WALRELAY_SOURCE_DIR} / "tests/fixtures/config";
    const std::set<std::string> files = names(folder, ".yaml");
    REQUIRE_FALSE(files.empty());
    REQUIRE(files == names(folder, ".expected"));
    for (const std::string& name : files) {
        INFO(name);
        const std::string expected = content(folder / (name + ".expected"));
        const reading result =
            read_text(content(folder / (name + ".yaml")), "FILE", test_secrets());
        CHECK(report(result) == expected);
        CHECK_FALSE(expected.empty());
        CHECK(result.model.has_value() == result.problems.empty());
        CHECK(report(result).find("S3CR3T") == std::string::npos);
    }
}

TEST_CASE("Every example under config/ is read without problems or warnings") {
    const fs::path folder = fs::path{WALRELAY_SOURCE_DIR} / "config";
    const std::set<std::string> files = names(folder, ".yaml");
    REQUIRE(files.size() >= 5);
    for (const std::string& name : files) {
        INFO(name);
        const reading result = read_text(content(folder / (name + ".yaml")), name, test_secrets());
        CHECK(report(result).empty());
        CHECK(result.model.has_value());
    }
}

TEST_CASE("The values that reference.yaml calls defaults are the defaults") {
    const fs::path folder = fs::path{WALRELAY_SOURCE_DIR} / "config";
    const reading reference = read_text(content(folder / "reference.yaml"), "FILE", test_secrets());
    REQUIRE(reference.model);
    const model& given = *reference.model;
    const model defaults;
    CHECK(given.source.exit_delay == defaults.source.exit_delay);
    CHECK(given.source.progress == defaults.source.progress);
    CHECK(given.limits.in_flight_events == defaults.limits.in_flight_events);
    CHECK(given.limits.in_flight_bytes == defaults.limits.in_flight_bytes);
    CHECK(given.limits.replay_events == defaults.limits.replay_events);
    CHECK(given.limits.event_bytes == defaults.limits.event_bytes);
    CHECK(given.admin.listen == defaults.admin.listen);
    CHECK(given.log.level == defaults.log.level);
    CHECK(given.log.format == defaults.log.format);
    const auto& http = std::get<http_sink>(given.sinks.at(1).kind);
    CHECK(http.timeout == http_sink{}.timeout);
    CHECK(http.connections == http_sink{}.connections);
    CHECK(http.success == http_sink{}.success);
    CHECK(http.metadata == http_sink{}.metadata);
    const auto& kafka = std::get<kafka_sink>(given.sinks.at(0).kind);
    CHECK(kafka.properties.empty());
    CHECK(kafka.metadata == kafka_sink{}.metadata);
}

}  // namespace walrelay::config
