#include "parked_page.hpp"
#include "parked_selection.hpp"
#include "status_page.hpp"
#include "support/catch.hpp"

#include <nlohmann/json.hpp>

namespace walrelay::cli {

namespace {

parked_row row(std::int64_t id) {
    parked_row one;
    one.id = id;
    one.state = "parked";
    one.sink = "hooks";
    one.table = "walrelay.outbox";
    one.event_id = "e1";
    one.key = "k1";
    one.error = "HTTP 400";
    one.attempts = 3;
    one.age_seconds = 300;
    return one;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_CASE("A glob becomes a pattern in which only * and ? mean something") {
    CHECK(like_pattern("HTTP 4?? *") == "HTTP 4__ %");
    CHECK(like_pattern(R"(100%_\)") == R"(100\%\_\\)");
    CHECK(like_pattern("").empty());
}

TEST_CASE("A duration has one unit, and all else is left to the server as a time") {
    CHECK(interval_of("90s") == "90 seconds");
    CHECK(interval_of("30m") == "30 minutes");
    CHECK(interval_of("2h") == "2 hours");
    CHECK(interval_of("3d") == "3 days");
    for (const char* const text : {"", "m", "5", "5w", "-5m", "1.5h", "2026-01-01", "9999999d"})
        CHECK_FALSE(interval_of(text).has_value());
    parked_selection which;
    which.since = "2026-01-01 12:00";
    const auto values = selection_parameters(which, "s");
    CHECK_FALSE(values[3].has_value());
    CHECK(values[4] == "2026-01-01 12:00");
}

TEST_CASE("Selectors are parameters, and none of them selects nothing") {
    parked_selection which;
    CHECK(selects_nothing(which));
    which.held = true;
    CHECK(selects_nothing(which));
    which.ids = {7, 22};
    which.key = "";
    which.error = "*'; drop table x; --";
    which.sink = "none";
    CHECK_FALSE(selects_nothing(which));
    const auto values = selection_parameters(which, "s");
    REQUIRE(values.size() == 7);
    CHECK(values[0] == "s");
    CHECK(values[1] == "{7,22}");
    CHECK(values[2] == "");
    CHECK(values[5] == "%'; drop table x; --");
    CHECK(values[6] == "");
    which.sink = "hooks";
    CHECK(selection_parameters(which, "s")[6] == "hooks");
}

TEST_CASE("What waits is a table with the newest last, its counts and what is left out") {
    parked_list list;
    list.rows = {row(7), row(12)};
    list.rows[1].sink.clear();
    list.rows[1].key.reset();
    list.older = 3;
    list.counts = {{"parked", "hooks", 1}, {"parked", "", 4}};
    CHECK(parked_table(list, 0) ==
          "id  state   sink        table            event id  key   attempts  age    error\n"
          "7   parked  hooks       walrelay.outbox  e1        k1    3         5 min  HTTP 400\n"
          "12  parked  (no route)  walrelay.outbox  e1        NULL  3         5 min  HTTP 400\n"
          "… and 3 older: --limit shows more\n"
          "1 parked for sink hooks\n"
          "4 parked that no route took\n");
    CHECK(parked_table({}, 0) == "nothing is set aside\n");
}

TEST_CASE("Lines are cut to the terminal, and what rows bring can't move its cursor") {
    parked_list list;
    list.rows = {row(7)};
    list.rows[0].key = "ä\x1B[2Jä";
    list.rows[0].error = std::string(500, 'x') + "end";
    const auto text = parked_table(list, 70);
    CHECK_FALSE(contains(text, "\x1B"));
    CHECK(contains(text, "ä\\x1b[2Jä"));
    CHECK(contains(text, "…"));
    CHECK_FALSE(contains(text, "end"));
    CHECK(contains(parked_table(list, 0), "end"));
}

TEST_CASE("Scripts get every value, also of rows that are not UTF-8") {
    parked_list list;
    list.rows = {row(7)};
    list.rows[0].key = "\xFF";
    list.rows[0].sink.clear();
    const auto shown = nlohmann::json::parse(parked_json(list));
    CHECK(shown["rows"][0]["id"] == 7);
    CHECK(shown["rows"][0]["sink"].is_null());
    CHECK(shown["rows"][0]["type"].is_null());
    CHECK(shown["older"] == 0);
    CHECK(shown["counts"].empty());
}

TEST_CASE("Status counts what is set aside, says what to do, and names what is paused") {
    status_facts found;
    found.file = "relay.yaml";
    found.slot = "s";
    found.database.aside = {{"parked", "hooks", 2}, {"held", "hooks", 30}};
    found.database.paused = {"mail"};
    const auto text = status_page(found);
    CHECK(contains(text, "aside       2 parked for sink hooks\n"));
    CHECK(contains(text, "aside       30 held for sink hooks\n"));
    CHECK(contains(text, "walrelay parked list -c relay.yaml shows them"));
    CHECK(contains(text, "paused      sink mail: walrelay resume mail -c relay.yaml\n"));
    found.database.aside = {{"held", "hooks", 30}};
    CHECK_FALSE(contains(status_page(found), "parked list"));
}

}  // namespace

}  // namespace walrelay::cli
