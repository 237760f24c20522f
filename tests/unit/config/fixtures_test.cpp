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
    REQUIRE(files.size() >= 8);
    for (const std::string& name : files) {
        INFO(name);
        const reading result = read_text(content(folder / (name + ".yaml")), name, test_secrets());
        CHECK(report(result).empty());
        CHECK(result.model.has_value());
    }
}

}  // namespace walrelay::config
