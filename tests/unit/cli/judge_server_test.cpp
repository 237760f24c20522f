#include "judged.hpp"
#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

TEST_CASE("A healthy server gives no complaint") {
    for (const auto& one : complaints(healthy_facts()))
        FAIL(one.subject << ": " << one.text);
}

TEST_CASE("A server that is too old stops the relay, one that is newer than tried does not") {
    auto found = healthy_facts();
    found.settings.version = 130022;
    REQUIRE(complaints(found).size() == 1);
    CHECK(complaints(found)[0].level == severity::stops);
    found.settings.version = 190000;
    CHECK(complaints(found).empty());
}

TEST_CASE("A wal_level below logical stops, with the setting that mends it") {
    auto found = healthy_facts();
    found.settings.wal_level = "replica";
    const auto all = complaints(found);
    REQUIRE(all.size() == 1);
    CHECK(all[0].level == severity::stops);
    CHECK(mends_with(all[0], "alter system set wal_level = logical"));
}

TEST_CASE("A pooler between is refused by name") {
    auto found = healthy_facts();
    found.backend_pid = 78;
    const auto all = complaints(found);
    REQUIRE(all.size() == 1);
    CHECK(all[0].level == severity::stops);
    CHECK(says(all[0], "PgBouncer"));

    postgres::sql_error refused;
    refused.what = {"connect to", "host", "unsupported startup parameter in options: datestyle",
                    ""};
    CHECK(says(judge_connection(refused), "PgBouncer"));
    refused.what.cause = "Connection refused";
    CHECK_FALSE(says(judge_connection(refused), "PgBouncer"));
    CHECK(judge_connection(refused).level == severity::stops);
}

TEST_CASE("A standby stops, SQL_ASCII and a short wal_sender_timeout warn") {
    auto found = healthy_facts();
    found.settings.in_recovery = true;
    REQUIRE(complaints(found).size() == 1);
    CHECK(complaints(found)[0].level == severity::stops);

    found = healthy_facts();
    found.settings.encoding = "SQL_ASCII";
    found.settings.wal_sender_timeout_ms = 500;
    const auto all = complaints(found);
    REQUIRE(all.size() == 2);
    CHECK(all[0].level == severity::warns);
    CHECK(all[1].level == severity::warns);
    found = healthy_facts();
    found.settings.wal_sender_timeout_ms = 0;
    CHECK(complaints(found).empty());
}

TEST_CASE("What counts is that a replication connection can be made, not the role's attribute") {
    auto found = healthy_facts();
    found.settings.role_may_replicate = false;
    CHECK(complaints(found).empty());
    found.replication_error.emplace();
    found.replication_error->what = {"connect to", "host", "must be superuser", "look here"};
    auto all = complaints(found);
    REQUIRE(all.size() == 1);
    CHECK(mends_with(all[0], "alter role \"relay\" replication;"));
    found.settings.role_may_replicate = true;
    all = complaints(found);
    REQUIRE(all.size() == 1);
    CHECK(mends_with(all[0], "look here"));
}

TEST_CASE("Used up slots stop only when the relay's own is still to be made") {
    auto found = healthy_facts();
    found.capacity.used_replication_slots = found.capacity.max_replication_slots;
    CHECK(complaints(found).empty());
    found.slot.reset();
    found.record.reset();
    const auto all = complaints(found);
    REQUIRE(all.size() == 2);
    CHECK(all[0].subject == "max_replication_slots");
}

TEST_CASE("Used up WAL senders stop unless one of them is the relay") {
    auto found = healthy_facts();
    found.capacity.used_wal_senders = found.capacity.max_wal_senders;
    REQUIRE(complaints(found).size() == 1);
    CHECK(complaints(found)[0].subject == "max_wal_senders");
    found.slot->active_pid = 12;
    CHECK(complaints(found).empty());
}

TEST_CASE("A missing schema, an older one and missing rights each say what to run") {
    auto found = healthy_facts();
    found.rights = {};
    REQUIRE(complaints(found).size() == 1);
    CHECK(mends_with(complaints(found)[0], "walrelay sql -c relay.yaml --apply"));

    found.rights = {true, true, false, true, true, false, true};
    REQUIRE(complaints(found).size() == 1);
    CHECK(says(complaints(found)[0], "older"));

    found.rights = {true, true, true, true, false, true, true};
    REQUIRE(complaints(found).size() == 1);
    CHECK(mends_with(complaints(found)[0], "grant walrelay_relay to \"relay\";"));

    auto model = one_route_map();
    model.source.progress = false;
    CHECK(complaints(found, model).empty());
}

TEST_CASE("Names of synchronous standbys that take the relay for one warn") {
    for (const char* names : {"*", "ANY 1 (a, \"walrelay s\")", "FIRST 2 (b, *)"}) {
        auto found = healthy_facts();
        found.replication.synchronous_standby_names = names;
        const auto all = complaints(found);
        REQUIRE(all.size() == 1);
        CHECK(all[0].subject == "synchronous_standby_names");
        CHECK(all[0].level == severity::warns);
    }
    auto found = healthy_facts();
    found.replication.synchronous_standby_names = "FIRST 1 (standby, walrelay)";
    CHECK(complaints(found).empty());
}

TEST_CASE("A schema of an older version warns with what it lacks") {
    auto found = healthy_facts();
    found.missing_objects = {"table walrelay.queue", "function walrelay.emit_wal"};
    const auto all = complaints(found);
    REQUIRE(all.size() == 1);
    CHECK(all[0].level == severity::warns);
    CHECK(says(all[0], "it lacks table walrelay.queue, function walrelay.emit_wal"));
    CHECK(mends_with(all[0], "walrelay sql -c relay.yaml --apply"));
}

}  // namespace

}  // namespace walrelay::cli
