// Rows that are set aside: written once, fenced by the epoch, changed only while they are held.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "component/postgres/aside_fixture.hpp"

using namespace walrelay;
using namespace walrelay::test;
using engine::aside_state;
using postgres::aside_insert;

namespace {

std::vector<aside_insert> rows_at(std::initializer_list<std::uint64_t> positions) {
    std::vector<aside_insert> rows;
    for (const std::uint64_t at : positions)
        rows.push_back(refused_row(lsn{at}));
    return rows;
}

engine::aside_change outcome(engine::aside_id id, aside_state state) {
    engine::aside_change change;
    change.id = id;
    change.state = state;
    return change;
}

}  // namespace

TEST_CASE("a refused row is kept with its bytes, its place and what people want to know") {
    aside_slot on;
    aside_insert row = refused_row(lsn{0x1'0000'0010}, 7);
    row.key = std::string{"k\0ey ü\xFF", 8};
    row.type = "made";
    const auto id = on.put(row);
    CHECK(id > 0);
    CHECK(on.cell("select encode(message, 'hex') from rows") == "4900c3285c22");
    CHECK(on.cell("select encode(relation, 'hex') from rows") == "5200ff");
    CHECK(on.cell("select format('%s %s %s %s %s %s', lsn, ordinal, message_number, origin, xid,"
                  " committed_at) from rows") ==
          "1/10 7 0 row 4000000000 2023-11-14 22:13:20.123457+00");
    CHECK(on.cell("select format('%s|%s|%s|%s|%s|%s|%s', source_table, event_id, sink,"
                  " destination, type, error, attempts) from rows") ==
          "walrelay.outbox|e4294967312-7|out|/in|made|HTTP 400|3");
    CHECK(on.cell("select key from rows") ==
          "k\xEF\xBF\xBD"
          "ey ü\xEF\xBF\xBD");
    CHECK(on.cell("select format('%s %s %s', state, holds_key, redriven_at is null) from rows") ==
          "parked f t");
}

TEST_CASE("a row without key, type and sink is kept as such") {
    aside_slot on;
    aside_insert row = refused_row(lsn{16});
    row.key.reset();
    row.lane.reset();
    row.sink.clear();
    row.destination.clear();
    on.put(row);
    CHECK(on.cell("select format('%s %s %s %s', key is null, type is null, lane is null,"
                  " sink = '') from rows") == "t t t t");
}

TEST_CASE("a row of 20 MB is kept, and comes back as it was") {
    aside_slot on;
    aside_insert row = refused_row(lsn{16});
    std::uint32_t noise = 1;
    row.messages.insert.clear();
    for (int i = 0; i < (20 << 20); ++i) {
        noise = noise * 1'664'525 + 1'013'904'223;
        row.messages.insert += static_cast<char>(noise >> 24U);
    }
    row.state = aside_state::held;
    row.holds_key = true;
    const std::string message = row.messages.insert;
    on.put(row);
    const auto loaded = on.load({{"out", row.lane, {}, false, 1}}, 1);
    REQUIRE(loaded.size() == 1);
    const auto& read = loaded[0].row;
    CHECK(std::string_view{reinterpret_cast<const char*>(read.message.get()), read.message_bytes} ==
          message);
}

TEST_CASE("answers come in the order of the rows, and putting them again answers the same") {
    aside_slot on;
    const auto first = on.put(rows_at({48, 16, 32}));
    const auto second = on.put(rows_at({48, 16, 32}));
    REQUIRE(first.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(first[i].id == second[i].id);
        CHECK(first[i].state == aside_state::parked);
    }
    CHECK(on.cell("select string_agg(lsn::text, ' ' order by id) from rows") == "0/30 0/10 0/20");
    const auto mixed = on.put(rows_at({16, 64, 48}));
    CHECK(mixed[0].id == first[1].id);
    CHECK(mixed[2].id == first[0].id);
}

TEST_CASE("thousands of rows, and rows of many bytes, are put in one call") {
    aside_slot on;
    std::vector<aside_insert> rows;
    for (std::uint32_t i = 0; i < 1'234; ++i)
        rows.push_back(refused_row(lsn{1'000 - i / 2}, i % 2));
    rows[5].messages.insert.assign(9 << 20, 'x');
    const auto answers = on.put(rows);
    REQUIRE(answers.size() == rows.size());
    CHECK(answers.back().id - answers.front().id == 1'233);
    CHECK(on.put(std::vector<aside_insert>{}).empty());
}

TEST_CASE("a row that is named twice in one call is kept once, as it was named last") {
    aside_slot on;
    auto rows = rows_at({16, 32, 16});
    rows[2].state = aside_state::held;
    rows[2].error = "behind another";
    const auto answers = on.put(rows);
    REQUIRE(answers.size() == 3);
    CHECK(answers[0].id == answers[2].id);
    CHECK(answers[0].state == aside_state::held);
    CHECK(on.cell("select string_agg(error, ', ' order by lsn) from rows") ==
          "behind another, HTTP 400");
}

TEST_CASE(
    "a row that is there keeps its state, but one delivered before a restart takes the new one") {
    for (const auto kept : {aside_state::parked, aside_state::held, aside_state::dropped}) {
        aside_slot on;
        aside_insert row = refused_row(lsn{16});
        row.state = aside_state::held;
        const auto id = on.put(row);
        if (kept != aside_state::held) on.change(outcome(id, kept));
        const auto changed = on.cell("select updated_at from rows");
        aside_insert again = refused_row(lsn{16});
        again.error = "another";
        const auto answer = on.put(std::vector{again});
        CHECK(answer[0].id == id);
        CHECK(answer[0].state == kept);
        CHECK(on.cell("select error from rows") == "HTTP 400");
        CHECK(on.cell("select updated_at from rows") == changed);
    }
    aside_slot on;
    aside_insert row = refused_row(lsn{16});
    row.state = aside_state::held;
    const auto id = on.put(row);
    on.change(outcome(id, aside_state::delivered));
    const auto since = on.cell("select parked_at from rows");
    on.draw_epoch(*on.link);
    on.scope.epoch += 1;
    row.state = aside_state::parked;
    row.error = "HTTP 422";
    row.attempts = 9;
    row.holds_key = true;
    const auto answer = on.put(std::vector{row});
    CHECK(answer[0].id == id);
    CHECK(answer[0].state == aside_state::parked);
    CHECK(on.cell("select format('%s %s %s', error, attempts, holds_key) from rows") ==
          "HTTP 422 9 t");
    CHECK(on.cell("select parked_at from rows") == since);
}

TEST_CASE("a put that is repeated after its answer was lost takes back nothing that came of it") {
    aside_slot on;
    aside_insert row = refused_row(lsn{16});
    row.holds_key = true;
    const auto id = on.put(row);
    CHECK(on.ask(postgres::redrive_aside(*on.link, on.scope, {id})).value());
    on.change(outcome(id, aside_state::delivered));
    const auto changed = on.cell("select updated_at from rows");
    const auto answer = on.put(std::vector{row});
    CHECK(answer[0].id == id);
    CHECK(answer[0].state == aside_state::delivered);
    CHECK(on.cell("select format('%s %s', state, error) from rows") == "delivered HTTP 400");
    CHECK(on.cell("select updated_at from rows") == changed);
    // Of a put of an earlier version nothing is known: what is put now counts.
    on.events.ask(*on.link, "update walrelay.parked set put_epoch = null where slot = '" +
                                on.scope.slot + "'");
    CHECK(on.put(std::vector{row})[0].state == aside_state::parked);
}

TEST_CASE("no epoch comes again where an operator deleted the record") {
    aside_slot on;
    on.draw_epoch(*on.link);
    on.scope.epoch += 1;
    aside_insert row = refused_row(lsn{16});
    row.state = aside_state::held;
    on.change(outcome(on.put(row), aside_state::delivered));
    shared_cluster().sql("DELETE FROM walrelay.progress WHERE slot = '" + on.scope.slot + "'",
                         "aside");
    const std::uint64_t next = on.draw_epoch(*on.link);
    CHECK(next > on.scope.epoch);
    on.scope.epoch = next;
    // So what is read again isn't taken for a repeated put.
    CHECK(on.put(std::vector{row})[0].state == aside_state::held);
}

TEST_CASE("a change reaches only rows that are held, and never lowers their attempts") {
    aside_slot on;
    const auto parked = on.put(refused_row(lsn{16}));
    aside_insert waiting = refused_row(lsn{32});
    waiting.state = aside_state::held;
    const auto held = on.put(waiting);

    on.change(outcome(parked, aside_state::delivered));
    CHECK(on.cell("select state from rows where lsn = '0/10'") == "parked");

    auto refused = outcome(held, aside_state::held);
    refused.attempts = 1;
    on.change(refused);
    CHECK(on.cell("select format('%s %s %s', state, error, attempts) from rows"
                  " where lsn = '0/20'") == "held HTTP 400 3");
    refused = outcome(held, aside_state::parked);
    refused.attempts = 12;
    refused.reason = "HTTP 410";
    refused.holds_key = true;
    on.change(refused);
    CHECK(on.cell("select format('%s %s %s %s', state, error, attempts, holds_key) from rows"
                  " where lsn = '0/20'") == "parked HTTP 410 12 t");
    on.change(outcome(held, aside_state::delivered));
    CHECK(on.cell("select state from rows where lsn = '0/20'") == "parked");
}

TEST_CASE("rows of another slot and of another server are not changed") {
    aside_slot mine;
    aside_slot other;
    aside_insert row = refused_row(lsn{16});
    row.state = aside_state::held;
    const auto id = other.put(row);
    mine.change(outcome(id, aside_state::delivered));
    CHECK(mine.ask(postgres::drop_aside(*mine.link, mine.scope, {id})).value());
    other.scope.system_identifier = "42";
    other.change(outcome(id, aside_state::delivered));
    CHECK(other.ask(postgres::redrive_aside(*other.link, other.scope, {id})).value());
    CHECK(other.load({{"out", {}, id, false, 1}}).empty());
    CHECK(other.summary().entries.empty());
    CHECK(other.cell("select format('%s %s', state, redriven_at is null) from rows") == "held t");
}

TEST_CASE("nothing is written once another relay has drawn an epoch") {
    aside_slot on;
    aside_insert row = refused_row(lsn{16});
    row.state = aside_state::held;
    const auto id = on.put(row);
    const auto unrouted = [&] {
        aside_insert one = refused_row(lsn{64});
        one.sink.clear();
        return on.put(one);
    }();
    const auto successor = on.connect();
    CHECK(on.draw_epoch(*successor) == on.scope.epoch + 1);

    const auto put = on.ask(postgres::put_aside(*on.link, on.scope, rows_at({32})));
    REQUIRE(put);
    CHECK_FALSE(put->has_value());
    const auto change =
        on.ask(postgres::change_aside(*on.link, on.scope, {outcome(id, aside_state::delivered)}));
    REQUIRE(change);
    CHECK_FALSE(*change);
    CHECK_FALSE(on.ask(postgres::redrive_aside(*on.link, on.scope, {id})).value());
    CHECK_FALSE(on.ask(postgres::drop_aside(*on.link, on.scope, {id})).value());
    CHECK_FALSE(
        on.ask(postgres::reroute_aside(*on.link, on.scope, unrouted, rows_at({64}), "")).value());
    CHECK_FALSE(
        on.ask(postgres::reroute_aside(*on.link, on.scope, unrouted, {}, "no route")).value());
    CHECK(on.cell("select string_agg(state || error, ' ' order by id) from rows") ==
          "heldHTTP 400 parkedHTTP 400");
}

TEST_CASE("an epoch is drawn only after a put that is under way has ended") {
    aside_slot on;
    const auto successor = on.connect();
    on.events.ask(*on.link, "begin");
    on.put(refused_row(lsn{16}));
    bool drawn = false;
    std::optional<sql_result<std::uint64_t>> answer;
    const auto identity = on.ask(postgres::read_identity(*on.link)).value();
    const auto draw = [&]() -> boost::asio::awaitable<void> {
        answer.emplace(co_await postgres::draw_epoch(*successor, on.scope.slot, identity, lsn{1}));
        drawn = true;
    };
    boost::asio::co_spawn(on.events.io, draw(), boost::asio::detached);
    const auto watcher = on.connect();
    const std::string waiting = "select count(*) from pg_locks where not granted and pid = " +
                                std::to_string(successor->backend_pid());
    REQUIRE(on.events.until([&] { return on.events.ask(*watcher, waiting) == "1"; }));
    CHECK_FALSE(drawn);
    on.events.ask(*on.link, "commit");
    REQUIRE(on.events.until([&] { return drawn; }));
    CHECK(answer->value() == on.scope.epoch + 1);
}

TEST_CASE("a put that waited for the draw of an epoch writes nothing") {
    aside_slot on;
    const auto successor = on.connect();
    on.events.ask(*successor, "begin");
    on.draw_epoch(*successor);
    bool ended = false;
    std::optional<sql_result<std::optional<std::vector<engine::aside_put_answer>>>> answer;
    const std::initializer_list<std::uint64_t> position{16};
    const auto put = [&]() -> boost::asio::awaitable<void> {
        auto rows = rows_at(position);
        answer.emplace(co_await postgres::put_aside(*on.link, on.scope, std::move(rows)));
        ended = true;
    };
    boost::asio::co_spawn(on.events.io, put(), boost::asio::detached);
    const auto watcher = on.connect();
    const std::string waiting = "select count(*) from pg_locks where not granted and pid = " +
                                std::to_string(on.link->backend_pid());
    REQUIRE(on.events.until([&] { return on.events.ask(*watcher, waiting) == "1"; }));
    on.events.ask(*successor, "commit");
    REQUIRE(on.events.until([&] { return ended; }));
    REQUIRE(*answer);
    CHECK_FALSE((*answer)->has_value());
    CHECK(on.cell("select count(*) from rows") == "0");
}

TEST_CASE("a database whose encoding lacks a character takes the row all the same") {
    shared_cluster().sql(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    install_schema(shared_cluster(), "latin");
    aside_slot on{"latin"};
    aside_insert row = refused_row(lsn{16});
    row.key = "\u4e00";
    row.state = aside_state::held;
    const auto id = on.put(row);
    CHECK(on.cell("select key from rows") == "\\xe4\\xb8\\x80");
    auto change = outcome(id, aside_state::parked);
    change.reason = "endpoint said \u4e00";
    on.change(change);
    CHECK(on.cell("select error from rows") == "endpoint said \\xe4\\xb8\\x80");
}

TEST_CASE("without the table the hint says how to install it") {
    aside_slot on;
    const auto link = on.events.connect(shared_cluster().conninfo("relay", "shop"));
    const auto missing = on.ask(postgres::put_aside(*link, on.scope, rows_at({16})));
    REQUIRE_FALSE(missing);
    CHECK(missing.error().sqlstate == "42P01");
    CHECK_THAT(missing.error().what.hint, ContainsSubstring("sql --apply"));
    CHECK_THAT(missing.error().what.text(), ContainsSubstring("slot \"" + on.scope.slot + "\""));
}
