// What is read of slots, publications and settings, as a role without rights.
#include "walrelay/postgres/catalog.hpp"
#include "component/postgres/fixture.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::test;

TEST_CASE("the state of a slot is read, and nothing for one that isn't there") {
    const test_slot slot{shared_cluster(), "described"};
    loop on;
    const auto link = on.connect(shared_cluster().conninfo("relay", "shop"));
    const auto work = [&]() -> boost::asio::awaitable<void> {
        const auto found = co_await postgres::read_slot(*link, "described");
        REQUIRE(found);
        REQUIRE(found->has_value());
        const postgres::slot_state& state = **found;
        CHECK(state.name == "described");
        CHECK(state.plugin == "pgoutput");
        CHECK(state.slot_type == "logical");
        CHECK(state.database == "shop");
        CHECK(state.current_database == "shop");
        CHECK_FALSE(state.temporary);
        CHECK_FALSE(state.active_pid.has_value());
        CHECK(state.confirmed_flush >= state.restart_lsn);
        CHECK(state.restart_lsn.value > 0);
        CHECK(state.wal_status == "reserved");
        CHECK(state.invalidation_reason.empty());
        CHECK(state.retained_bytes > 0);
        CHECK(to_string(state.confirmed_flush) == slot.confirmed());
        const auto missing = co_await postgres::read_slot(*link, "it's not there");
        REQUIRE(missing);
        CHECK_FALSE(missing->has_value());
    };
    on.run(work());
}

TEST_CASE("the process that holds a slot is read") {
    const test_slot slot{shared_cluster(), "in_use"};
    loop on;
    stream_record record;
    const auto stream = start_stream(on, shared_cluster(), slot.name(), record);
    REQUIRE(stream);
    const auto link = on.connect(shared_cluster().conninfo("relay", "shop"));
    const auto work = [&]() -> boost::asio::awaitable<void> {
        const auto found = co_await postgres::read_slot(*link, "in_use");
        REQUIRE(found);
        CHECK((*found)->active_pid == (*stream)->backend_pid());
    };
    on.run(work());
}

TEST_CASE(
    "publications are read with tables, columns and filters; taking a table out and back shows") {
    auto& cluster = shared_cluster();
    cluster.sql(
        "CREATE SCHEMA \"Odd, schema\";\nCREATE TABLE \"Odd, schema\".\"ta\"\"ble\" (a int, "
        "\"b,c\" text, d int);\n"
        "CREATE TABLE filtered (a int, gone int, z int);\nALTER TABLE filtered DROP COLUMN gone;\n"
        "CREATE PUBLICATION one FOR TABLE \"Odd, schema\".\"ta\"\"ble\" (a, \"b,c\")"
        " WITH (publish = 'insert', publish_via_partition_root = true);\n"
        "CREATE PUBLICATION two FOR TABLE filtered WHERE (a > 0);\n",
        "shop");
    loop on;
    const auto link = on.connect(cluster.conninfo("relay", "shop"));
    const auto work = [&]() -> boost::asio::awaitable<void> {
        const std::vector<std::string> names{"one", "two", "no 'such"};
        const auto read = co_await postgres::read_publications(*link, names);
        REQUIRE(read);
        REQUIRE(read->found.size() == 2);
        CHECK(read->found[0].name == "one");
        CHECK(read->found[0].publishes_insert);
        CHECK_FALSE(read->found[0].publishes_update);
        CHECK(read->found[0].via_partition_root);
        CHECK(read->found[1].publishes_truncate);
        CHECK_FALSE(read->found[1].all_tables);
        REQUIRE(read->tables.size() == 2);
        CHECK(read->tables[0].schema == "Odd, schema");
        CHECK(read->tables[0].name == "ta\"ble");
        CHECK(read->tables[0].columns == std::vector<std::string>{"a", "b,c"});
        CHECK_FALSE(read->tables[0].has_row_filter);
        CHECK(read->tables[1].has_row_filter);
        CHECK(read->tables[1].columns == std::vector<std::string>{"a", "z"});

        const auto again = co_await postgres::read_publications(*link, names);
        CHECK(again->fingerprint == read->fingerprint);
        CHECK_FALSE(read->fingerprint.empty());
        cluster.sql(
            "ALTER PUBLICATION two DROP TABLE filtered;\n"
            "ALTER PUBLICATION two ADD TABLE filtered WHERE (a > 0);\n",
            "shop");
        const auto after = co_await postgres::read_publications(*link, names);
        CHECK(after->fingerprint != read->fingerprint);
    };
    on.run(work());
}

TEST_CASE("settings of the server are read, by either kind of connection") {
    loop on;
    for (const bool replication : {false, true}) {
        const auto link = on.connect(shared_cluster().conninfo("relay", "shop"), replication);
        const auto work = [&]() -> boost::asio::awaitable<void> {
            const auto read = co_await postgres::read_settings(*link);
            REQUIRE(read);
            CHECK(read->version == link->server_version());
            CHECK(read->wal_level == "logical");
            CHECK(read->encoding == "UTF8");
            CHECK_FALSE(read->in_recovery);
            CHECK(read->wal_sender_timeout_ms == 60000);
            CHECK(read->role == "relay");
            CHECK(read->role_may_replicate);
            CHECK(read->server_backend_pid == link->backend_pid());
        };
        on.run(work());
    }
}
