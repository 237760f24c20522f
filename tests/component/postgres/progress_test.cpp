// The progress record: epochs, monotonic positions, HOT updates.
#include "walrelay/postgres/progress.hpp"
#include "component/postgres/aside_fixture.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

/// With the schema, and no record in it.
std::string fresh_database() {
    static int made = 0;
    const std::string name = "progress_" + std::to_string(++made);
    shared_cluster().sql("CREATE DATABASE " + name);
    install_schema(shared_cluster(), name);
    return name;
}

}  // namespace

TEST_CASE("both kinds of connection show the same server, to a role without rights") {
    loop on;
    const auto sql = on.connect(shared_cluster().conninfo("relay", "shop"));
    const auto replication = on.connect(shared_cluster().conninfo("relay", "shop"), true);
    const auto work = [&]() -> boost::asio::awaitable<void> {
        const auto one = co_await postgres::read_identity(*sql);
        const auto two = co_await postgres::read_identity(*replication);
        REQUIRE(one);
        REQUIRE(two);
        CHECK(*one == *two);
        CHECK(one->timeline == 1);
        CHECK(one->system_identifier.size() > 10);
        CHECK_FALSE(one->postmaster_start_time.empty());
    };
    on.run(work());
}

TEST_CASE("without the schema the hint says how to install it") {
    loop on;
    const auto link = on.connect(shared_cluster().conninfo("relay", "postgres"));
    const auto work = [&]() -> boost::asio::awaitable<void> {
        const auto missing = co_await postgres::read_progress(*link, "walrelay");
        REQUIRE_FALSE(missing);
        CHECK(missing.error().sqlstate == "42P01");
        CHECK_THAT(missing.error().what.hint, ContainsSubstring("sql --apply"));
        CHECK_THAT(missing.error().what.text(), ContainsSubstring("slot \"walrelay\""));
    };
    on.run(work());
}

TEST_CASE("each acquisition draws the next epoch, and only its holder may record") {
    const std::string database = fresh_database();
    loop on;
    const auto link = on.connect(shared_cluster().conninfo("relay", database));
    const auto work = [&]() -> boost::asio::awaitable<void> {
        const auto none = co_await postgres::read_progress(*link, "s");
        REQUIRE(none);
        CHECK_FALSE(none->has_value());
        auto server = co_await postgres::read_identity(*link);
        REQUIRE(server);
        const auto first = co_await postgres::draw_epoch(*link, "s", *server, lsn{0x100});
        REQUIRE(first);
        const auto second = co_await postgres::draw_epoch(*link, "s", *server, lsn{0x900});
        REQUIRE(second);
        CHECK(*second == *first + 1);

        const auto stale = co_await postgres::record_progress(*link, "s", *first, lsn{0x500}, 1,
                                                              std::nullopt, std::nullopt);
        REQUIRE(stale);
        CHECK_FALSE(stale->has_value());
        const auto mine = co_await postgres::record_progress(*link, "s", *second, lsn{0x500}, 1,
                                                             "10:20:10,14,15", "halted");
        REQUIRE(mine);
        REQUIRE(mine->has_value());
        CHECK_THAT((*mine)->snapshot, ContainsSubstring(":"));
        CHECK((*mine)->insert_lsn.value > 0x500);
        const auto lower = co_await postgres::record_progress(*link, "s", *second, lsn{0x400}, 1,
                                                              std::nullopt, std::nullopt);
        REQUIRE(lower);

        const auto read = co_await postgres::read_progress(*link, "s");
        REQUIRE(read);
        REQUIRE(read->has_value());
        CHECK((*read)->safe == lsn{0x500});
        CHECK((*read)->epoch == *second);
        CHECK((*read)->timeline == 1);
        CHECK((*read)->system_identifier == server->system_identifier);
        CHECK_FALSE((*read)->halt.has_value());
    };
    on.run(work());
    CHECK(shared_cluster().sql("SELECT delivered_snapshot FROM walrelay.progress", database) ==
          "10:20:10,14,15");
}

TEST_CASE("on another timeline the record falls to the slot, and another server is refused") {
    const std::string database = fresh_database();
    loop on;
    const auto link = on.connect(shared_cluster().conninfo("relay", database));
    const auto work = [&]() -> boost::asio::awaitable<void> {
        auto server = co_await postgres::read_identity(*link);
        REQUIRE(server);
        postgres::server_identity later = *server;
        auto drawn = co_await postgres::draw_epoch(*link, "s", *server, lsn{0x500});
        REQUIRE(drawn);
        const std::uint64_t first = *drawn;
        later.timeline = 2;
        drawn = co_await postgres::draw_epoch(*link, "s", later, lsn{0x300});
        REQUIRE(drawn);
        auto read = co_await postgres::read_progress(*link, "s");
        CHECK((*read)->safe == lsn{0x300});
        CHECK((*read)->timeline == 2);
        later.timeline = 3;
        drawn = co_await postgres::draw_epoch(*link, "s", later, lsn{0x800});
        read = co_await postgres::read_progress(*link, "s");
        CHECK((*read)->safe == lsn{0x300});
        CHECK((*read)->epoch == first + 2);
        later.system_identifier = "42";
        drawn = co_await postgres::draw_epoch(*link, "s", later, lsn{0x800});
        REQUIRE_FALSE(drawn);
        CHECK_THAT(drawn.error().what.cause, ContainsSubstring("another server"));
    };
    on.run(work());
}

TEST_CASE("every record is a HOT update") {
    const std::string database = fresh_database();
    loop on;
    const auto link = on.connect(shared_cluster().conninfo("relay", database));
    const auto work = [&]() -> boost::asio::awaitable<void> {
        auto server = co_await postgres::read_identity(*link);
        const auto drawn = co_await postgres::draw_epoch(*link, "s", *server, lsn{1});
        REQUIRE(drawn);
        for (std::uint64_t i = 0; i < 200; ++i) {
            const auto done = co_await postgres::record_progress(*link, "s", *drawn, lsn{100 + i},
                                                                 1, "10:20:", std::nullopt);
            REQUIRE(done);
        }
    };
    on.run(work());
    const auto count = [&](const std::string& column) {
        return on.ask(*link,
                      "SELECT " + column +
                          " FROM pg_stat_all_tables WHERE relid = 'walrelay.progress'::regclass");
    };
    REQUIRE(on.until([&] { return count("n_tup_upd") == "200"; }));
    CHECK(count("n_tup_hot_upd") == "200");
}
