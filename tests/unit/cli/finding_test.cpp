#include "finding.hpp"

#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

const std::vector<finding> three{
    {severity::ok, "wal_level", "logical", {}},
    {severity::stops, "slot s", "does not exist", {"walrelay sql --apply"}},
    {severity::warns, "retention", "a \"lot\"\n", {"first", "second"}},
};

TEST_CASE("Findings are aligned lines with what mends them beneath") {
    CHECK(findings_as_text({three[0], three[1]}) ==
          "ok     wal_level  logical\n"
          "stops  slot s     does not exist\n"
          "         -> walrelay sql --apply\n");
}

TEST_CASE("A very long table name does not push the other lines out") {
    const std::string name(100, 'n');
    CHECK(findings_as_text({{severity::ok, name, "fine", {}}, {severity::ok, "a", "b", {}}}) ==
          "ok     " + name + "  fine\nok     a" + std::string(33, ' ') + "b\n");
}

TEST_CASE("The last line tells how many findings stop the relay") {
    CHECK(summary({three[0]}) == "nothing stops the relay\n");
    CHECK(summary(three) == "1 finding stops the relay, 1 warning\n");
    CHECK(summary({three[1], three[1], three[2], three[2]}) ==
          "2 findings stop the relay, 2 warnings\n");
}

TEST_CASE("Only a finding that stops makes a check fail") {
    CHECK_FALSE(any_stops({}));
    CHECK_FALSE(any_stops({three[0], three[2]}));
    CHECK(any_stops(three));
}

TEST_CASE("Findings as JSON escape what names and servers bring") {
    CHECK(findings_as_json({}) == "[]\n");
    CHECK(findings_as_json({three[2], three[0]}) ==
          "[\n"
          "  {\"severity\": \"warns\", \"subject\": \"retention\", \"text\": \"a \\\"lot\\\"\\n\", "
          "\"mends\": [\"first\", \"second\"]},\n"
          "  {\"severity\": \"ok\", \"subject\": \"wal_level\", \"text\": \"logical\", \"mends\": "
          "[]}\n"
          "]\n");
}

}  // namespace

}  // namespace walrelay::cli
