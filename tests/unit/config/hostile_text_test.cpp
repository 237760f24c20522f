// Files that nobody writes on purpose: a clear problem, soon, and no crash.
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "test_secrets.hpp"

namespace walrelay::config {

namespace {

constexpr std::size_t one_mib = 1U << 20;

std::string repeated(const std::string& unit, std::size_t bytes) {
    std::string text;
    while (text.size() + unit.size() <= bytes)
        text += unit;
    return text;
}

reading read(const std::string& yaml) {
    return read_text(yaml, "FILE", test_secrets());
}

}  // namespace

TEST_CASE("A file of more than 1 MiB is refused, one of 1 MiB is read") {
    const reading large = read(std::string(one_mib + 1, '\n'));
    REQUIRE(large.problems.size() == 1);
    CHECK(large.problems[0].line() == "FILE: larger than 1 MiB; a sink map is a few KiB");
    CHECK(read(std::string(one_mib, '\n')).problems.size() == 3);  // the missing sections
}

TEST_CASE("NUL bytes and text that is not UTF-8 are refused with their place") {
    using namespace std::string_literals;
    CHECK(report(read("a: b\nc: \0"s)) == "FILE:2:4: a NUL byte; expected YAML in UTF-8\n");
    CHECK(report(read("a: b\nc: \xE4\n")) ==
          "FILE:2:1: this line is not UTF-8; expected YAML in UTF-8\n");
    CHECK(report(read("\xFF\xFE")) == "FILE:1:1: this line is not UTF-8; expected YAML in UTF-8\n");
    CHECK(report(read("source: { slot: \"a\\0b\" }"))
              .find("source.slot: a NUL byte is not allowed") != std::string::npos);
}

TEST_CASE("A tab in a comment, a blank line or inside a value is no indentation") {
    const std::string text = report(read("\t# comment\n\t\nlog: { level:\tinfo }\t# end\n"));
    CHECK(text.find("tab") == std::string::npos);
}

TEST_CASE("A long text that aliases repeat is refused before memory is used for it") {
    std::string yaml = "a: &a \"" + std::string(900'000, 'x') + "\"\nb: [";
    for (int i = 0; i < 100; ++i)
        yaml += "*a,";
    CHECK(report(read(yaml + "]\n")).find("too much text") != std::string::npos);
}

TEST_CASE("A large secret that is used very often is refused") {
    secret_sources sources;
    sources.environment = [](std::string_view) { return std::string(60'000, 'x'); };
    std::string yaml = "source: { publication: [";
    for (int i = 0; i < 1000; ++i)
        yaml += "'${env:A}',";
    const std::string text = report(read_text(yaml + "] }", "FILE", sources));
    CHECK(text.find("larger than 8 MiB together") != std::string::npos);
}

TEST_CASE("A quarter of a megabyte of any construct is answered within seconds") {
    const std::vector<std::string> units{
        "[",        "{",     "- ",  "- \n", "? ",   "a: ",         "a:\n", "\"\n\"",
        "&a ",      "!a ",   "*a ", "a\n",  "#\n",  "---\n",       "[]",   "{}",
        "\"a\" : ", "? a\n", "]",   "''",   "|\n ", "%YAML 1.2\n", "<<: ", "${env:"};
    for (const std::string& unit : units) {
        for (const std::string before : {"", "a: ", "[", "{", "\"", "a: |\n  "}) {
            INFO("much of " << unit << " behind " << before);
            const auto start = std::chrono::steady_clock::now();
            const reading result = read(before + repeated(unit, one_mib / 4) + "\n");
            CHECK_FALSE(result.problems.empty());
            // Far more than it takes, even under sanitizers: only a growth out of proportion fails.
            CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{10});
        }
    }
}

TEST_CASE(
    "A file that was cut anywhere is refused or lacks nothing, and never crashes the reader") {
    const std::string whole =
        "source: { conninfo: \"dbname=shop\", slot: walrelay, publication: walrelay }\n"
        "routes:\n"
        "  - { from: walrelay.outbox, to: workers, key: \"{key}\" }\n"
        "sinks:\n"
        "  workers:\n"
        "    http:\n"
        "      url: 'http://localhost/{topic}'\n"
        "      headers: { x-team: \"shop\" }\n"
        "      signing:\n"
        "        - \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    REQUIRE(read(whole).model);
    const std::size_t url_ends = whole.find("/{topic}'") + 9;
    for (std::size_t size = 0; size < url_ends; ++size) {
        INFO(size);
        CHECK_FALSE(read(whole.substr(0, size)).problems.empty());
        CHECK_FALSE(read(whole.substr(0, size) + "\n").problems.empty());
    }
}

TEST_CASE("Very many headers, prefixes and Debezium options are answered within seconds") {
    std::string headers;
    std::string options;
    std::string routes;
    for (int i = 0; i < 20'000; ++i) {
        const std::string number = std::to_string(i);
        headers += "h" + number + ": x, ";
        options += "transforms.t" + number + ".route.by.field: x, ";
        if (i < 5000) routes += "- { from: 'message:" + number + "', to: c, key: '{x}' }\n";
    }
    const std::string start = "sinks: { c: { http: { url: 'http://localhost/' } } }\nroutes:\n";
    for (const std::string& all :
         {start + "- { from: a.b, to: c, shape: { payload: p, headers: { " + headers + "} } }\n",
          start + "- { from: a.b, to: c, shape: { " + options + "} }\n", start + routes}) {
        const auto begin = std::chrono::steady_clock::now();
        CHECK_FALSE(read(all).problems.empty());
        CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{10});
    }
}

TEST_CASE("A file with random damage never crashes the reader nor shows a secret") {
    const std::string whole =
        "source: { conninfo: \"password=${env:TOKEN}\", slot: walrelay, publication: [ walrelay ] "
        "}\n"
        "sinks:\n"
        "  workers: { http: { url: \"http://localhost/{topic}\", headers: { a: \"${env:TOKEN}\" }, "
        "success: [ 2xx ] } }\n"
        "  events: { kafka: { brokers: \"localhost:9092\", properties: { acks: all } } }\n"
        "routes:\n"
        "  - { from: walrelay.outbox, where: { topic: \"a.*\" }, to: [ workers, events ] }\n"
        "  - { from: shop.mails, shape: &s { id: \"{id}\", payload: body }, to: workers }\n"
        "  - { from: shop.posts, shape: *s, to: none }\n"
        "  - { from: \"message:walrelay\", to: events, topic: \"{topic}\" }\n"
        "  - { from: walrelay.dispatch, to: workers }\n"
        "  - { from: shop.events, shape: debezium, to: events }\n"
        "  - { from: shop.others, shape: { like: debezium, headers: { kind: \"{kind}\", b: c } }, "
        "to: events }\n"
        "limits: { event_bytes: 1MiB }\n"
        "admin: { listen: \"127.0.0.1:9187\", token: \"${env:TOKEN}\" }\n";
    REQUIRE(read(whole).model);
    const std::string characters = "{}[]:,\"'&*!|>%@`#?-$ \n\t\\0a\xC3";
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    for (int round = 0; round < 3000; ++round) {
        std::string damaged = whole;
        for (auto edits = 1 + random() % 4; edits > 0; --edits) {
            const std::size_t at = random() % damaged.size();
            const char c = characters[random() % characters.size()];
            switch (random() % 3) {
                case 0:
                    damaged[at] = c;
                    break;
                case 1:
                    damaged.insert(at, 1, c);
                    break;
                default:
                    damaged.erase(at, 1 + random() % 8);
                    break;
            }
        }
        const reading result = read(damaged);
        INFO(damaged);
        REQUIRE(result.model.has_value() == result.problems.empty());
        REQUIRE(report(result).find("S3CR3T") == std::string::npos);
    }
}

}  // namespace walrelay::config
