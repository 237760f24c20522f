#include "install_script.hpp"

#include "judged.hpp"
#include "schema_files.hpp"
#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

std::vector<install_step::kind> kinds(const std::vector<install_step>& steps) {
    std::vector<install_step::kind> out;
    for (const auto& step : steps)
        out.push_back(step.what);
    return out;
}

bool holds(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

using kind = install_step::kind;

TEST_CASE("The schema comes first and the slot last") {
    CHECK(kinds(install_steps()) == std::vector{kind::schema});
    CHECK(kinds(install_steps(one_route_map(), "relay")) ==
          std::vector{kind::schema, kind::rights, kind::publication, kind::slot});
}

TEST_CASE("The embedded files are in the order of their numbers, and whole") {
    const auto files = schema_files();
    REQUIRE(files.size() >= 3);
    std::string_view before;
    for (const auto& file : files) {
        CHECK(before < file.name);
        before = file.name;
        CHECK(file.sql.starts_with("--"));
        CHECK(file.sql.ends_with(";\n"));
    }
    CHECK(holds(install_steps().front().sql, "create or replace function walrelay.emit("));
}

TEST_CASE("Without a record and without a walrelay table no schema is installed") {
    auto model = one_route_map();
    model.source.progress = false;
    CHECK(needs_schema(model));
    model.routes[0].from_schema = "shop";
    CHECK_FALSE(needs_schema(model));
    const auto steps = install_steps(model, "relay");
    CHECK(kinds(steps) == std::vector{kind::rights, kind::publication, kind::slot});
    for (const auto& step : steps)
        CHECK_FALSE(holds(step.sql, "walrelay."));
    CHECK_FALSE(holds(steps[0].sql, "walrelay_relay"));
}

TEST_CASE("A name of a role can't leave the comment, the literal and the quotes it stands in") {
    const std::string role = "r\ndrop table bait; --\"'\\ $$ $q0$";
    const auto steps = install_steps(one_route_map(), role);
    const auto script = as_script(steps);
    CHECK(holds(script, "\n-- role \"r\\x0adrop table bait; --\"\"'\\ $$ $q0$\"\n"));
    CHECK(holds(script, "rolname = 'r\ndrop table bait; --\"''\\ $$ $q0$')"));
    CHECK(holds(script, "alter role \"r\ndrop table bait; --\"\"'\\ $$ $q0$\" replication"));
    for (const auto& step : steps)
        CHECK(holds(step.sql, "set local standard_conforming_strings = on;"));
    CHECK(holds(steps[1].sql, "do $q1$\n"));
}

TEST_CASE("A table that several routes name is published once") {
    auto model = one_route_map();
    model.routes.push_back(model.routes[0]);
    model.routes.push_back(model.routes[0]);
    model.routes.back().from_table = "Odd\"name";
    CHECK(routed_tables(model) ==
          std::vector<routed_table>{{"walrelay", "outbox"}, {"walrelay", "Odd\"name"}});
    CHECK(holds(install_steps(model, "relay")[2].sql,
                R"(array['"walrelay"."outbox"', '"walrelay"."Odd""name"',)"));
}

TEST_CASE("The marks of operators are published, what is set aside is not") {
    const auto sql = install_steps(one_route_map(), "relay")[2].sql;
    CHECK(holds(sql, R"('"walrelay"."redrive"'])"));
    CHECK_FALSE(holds(sql, "parked"));
}

TEST_CASE("Names can't leave the quotes that they are put into") {
    auto model = one_route_map();
    model.source.publications = {"p'; drop table x; --$$"};
    const auto sql = install_steps(model, "r\"o'le$$")[2].sql;
    CHECK(holds(sql, "do $q0$\n"));
    CHECK(holds(sql, "$q0$;\n"));
    CHECK(holds(sql, "create publication \"p'; drop table x; --$$\" with"));
    CHECK(holds(sql, "pubname = 'p''; drop table x; --$$'"));
    const auto rights = install_steps(model, "r\"o'le$$")[1].sql;
    CHECK(holds(rights, "alter role \"r\"\"o'le$$\" replication;"));
}

TEST_CASE("The slot is made alone, with a deadline, and as a failover slot where there are such") {
    const auto sql = install_steps(one_route_map(), "relay")[3].sql;
    CHECK(holds(sql, "set local statement_timeout = '10s';"));
    CHECK(holds(sql, "failover => true"));
    CHECK(holds(sql, refused_slot_text("s")));
    CHECK_FALSE(holds(sql, "insert"));
}

TEST_CASE("Every step is one transaction of its own") {
    for (const auto& step : install_steps(one_route_map(), "relay")) {
        CHECK(step.sql.starts_with("begin;\nset local search_path = pg_catalog, pg_temp;\n"));
        CHECK(step.sql.ends_with("commit;\n"));
    }
}

TEST_CASE("A route of messages adds no table to the publication, and needs no schema") {
    config::model model;
    model.source.slot = "s";
    model.source.publications = {"p"};
    model.source.progress = false;
    config::route route;
    route.from_message = "orders";
    model.routes.push_back(route);
    CHECK(routed_tables(model).empty());
    CHECK_FALSE(needs_schema(model));
    CHECK(as_script(install_steps(model, "relay")).find("array[]::text[]") != std::string::npos);
}

}  // namespace

}  // namespace walrelay::cli
