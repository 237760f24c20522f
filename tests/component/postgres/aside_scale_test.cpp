// What a start, an operator's mark and the hourly upkeep cost where very much is set aside. Counted
// in pages and rows, never in time.
#include "component/postgres/aside_fixture.hpp"
#include "walrelay/postgres/upkeep.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

constexpr std::uint64_t many = 300'000;

/// Inserts rows that differ from one that is there in their place, and in `columns`, which are of
/// `i`, from 1.
void multiply(aside_slot& on, std::uint64_t count, const std::string& columns) {
    on.events.ask(*on.link,
                  "insert into walrelay.parked (slot, system_identifier, lsn, ordinal,"
                  " message_number, origin, xid, committed_at, relation, message, source_table,"
                  " event_id, sink, destination, error, attempts, " +
                      columns.substr(0, columns.find(" select ")) +
                      ") select p.slot, p.system_identifier, p.lsn, i, 0, 'row', p.xid,"
                      " p.committed_at, p.relation, p.message, p.source_table, p.event_id, p.sink,"
                      " p.destination, p.error, p.attempts, " +
                      columns.substr(columns.find(" select ") + 8) +
                      " from walrelay.parked p, generate_series(1, " + std::to_string(count) +
                      ") i where p.slot = '" + on.scope.slot + "' and p.ordinal = 0");
}

/// How many pages of walrelay.parked and its indexes `work` looks at.
template <class Work>
std::uint64_t pages_of(aside_slot& on, Work work) {
    const std::string looked_at =
        "select sum(pg_stat_get_xact_blocks_fetched(c.oid))::bigint from pg_class c"
        " where c.oid = 'walrelay.parked'::regclass or c.oid in (select i.indexrelid from pg_index "
        "i"
        " where i.indrelid = 'walrelay.parked'::regclass)";
    on.events.ask(*on.link, "begin");
    const std::uint64_t before = std::stoull(on.events.ask(*on.link, looked_at));
    work();
    const std::uint64_t after = std::stoull(on.events.ask(*on.link, looked_at));
    on.events.ask(*on.link, "commit");
    return after - before;
}

aside_slot of_database(const char* name) {
    shared_cluster().sql(std::string{"CREATE DATABASE "} + name);
    install_schema(shared_cluster(), name);
    return aside_slot{name};
}

}  // namespace

TEST_CASE("a start reads a table of 300,000 held rows by its lanes, not by its rows") {
    aside_slot on = of_database("held");
    postgres::aside_insert first = refused_row(lsn{16});
    first.lane.reset();
    on.put(first);
    // Three lanes; as many rows that are parked beside their key, or without one, and a few single
    // ones that wait.
    multiply(on, many, "lane, state, holds_key select i % 3, 'held', true");
    on.events.ask(*on.link, "update walrelay.parked set lsn = '0/20' where ordinal = 0");
    multiply(on, many / 3,
             "lane, state, holds_key select case when i % 2 = 0 then i end, case when i % 20000 = 1"
             " then 'held' else 'parked' end, false");
    on.events.ask(*on.link, "update walrelay.parked set lsn = '0/30' where ordinal = 0");
    const std::string superuser = shared_cluster().conninfo("postgres", "held");
    for (const bool analyzed : {false, true}) {
        INFO("statistics: " << analyzed);
        if (analyzed) on.events.ask(*on.events.connect(superuser), "analyze walrelay.parked");
        postgres::aside_summary read;
        CHECK(pages_of(on, [&] { read = on.summary(lsn{64}); }) < 500);
        CHECK(read.entries.empty());
        REQUIRE(read.lanes.size() == 8);
        for (std::size_t i = 0; i < 3; ++i)
            CHECK(read.lanes[i].lane == i);
        for (std::size_t i = 3; i < 8; ++i)
            CHECK_FALSE(read.lanes[i].lane);

        std::vector<postgres::aside_loaded> loaded;
        const postgres::aside_lane one{"out", 1, {}, false, 64};
        const postgres::aside_lane other{"out", 2, {}, false, 64};
        CHECK(pages_of(on, [&] { loaded = on.load({one, other}); }) < 2'000);
        CHECK(loaded.size() == 128);
        const auto id = loaded[0].id;
        CHECK(pages_of(on, [&] {
                  CHECK(on.ask(postgres::marked_rows(*on.link, on.scope, {id})).value().size() ==
                        1);
              }) < 100);
    }
}

TEST_CASE("the upkeep of an hour deletes all that nobody needs, ten thousand rows a statement") {
    aside_slot on = of_database("gone");
    on.events.ask(*on.link, "update walrelay.progress set safe_lsn = '1/0'");
    on.put(refused_row(lsn{16}));
    multiply(on, 100'000,
             "state, holds_key, updated_at select 'parked', false, now() - interval '30 days'");
    on.events.ask(*on.link, "update walrelay.parked set lsn = '0/20' where ordinal = 0");
    multiply(on, 25'000,
             "state, holds_key, updated_at select 'delivered', false, now() - interval '8 days'");

    postgres::upkeep hourly;
    hourly.begin(100);
    CHECK_FALSE(hourly.due());
    hourly.note(100);
    CHECK_FALSE(hourly.due());
    hourly.note(101);
    const std::string left = "select count(*) from rows where state = 'delivered'";
    for (const char* const count : {"25000", "15000", "5000", "0"}) {
        REQUIRE(hourly.due());
        CHECK(on.ask(hourly.next(*on.link)));
        CHECK(on.cell(left) == count);
    }
    CHECK_FALSE(hourly.due());
    CHECK(on.cell("select count(*) from rows") == "100001");
    CHECK(pages_of(on, [&] { on.events.ask(*on.link, "select walrelay.prune()"); }) < 500);
}

TEST_CASE("a table that can't be rotated doesn't keep another from being pruned, nor for ever") {
    aside_slot on = of_database("unrotated");
    on.events.ask(*on.link, "update walrelay.progress set safe_lsn = '1/0'");
    on.put(refused_row(lsn{16}));
    on.events.ask(*on.link,
                  "update walrelay.parked set state = 'dropped', updated_at = '2001-01-01'");
    const auto owner = on.events.connect(shared_cluster().conninfo("postgres", "unrotated"));
    on.events.ask(*owner, "alter function walrelay.rotate rename to unrotatable");
    postgres::upkeep hourly;
    hourly.note(7);
    const auto rotated = on.ask(hourly.next(*on.link));
    REQUIRE_FALSE(rotated);
    CHECK(rotated.error().sqlstate == "42883");
    REQUIRE(hourly.due());
    CHECK(on.ask(hourly.next(*on.link)));
    CHECK(on.cell("select count(*) from rows") == "0");
    CHECK_FALSE(hourly.due());

    on.events.ask(*owner, "alter function walrelay.prune rename to unprunable");
    hourly.note(8);
    CHECK_FALSE(on.ask(hourly.next(*on.link)));
    CHECK_FALSE(on.ask(hourly.next(*on.link)));
    CHECK_FALSE(hourly.due());
}
