// What is read back of the rows that were set aside, and what operators' marks do to them.
#include "component/postgres/aside_fixture.hpp"

using namespace walrelay;
using namespace walrelay::test;
using engine::aside_state;
using postgres::aside_insert;
using postgres::aside_lane;

namespace {

constexpr std::uint64_t lane = 0xFFFF'FFFF'0000'0001;

aside_insert held(lsn at, bool holds_key = true) {
    aside_insert row = refused_row(at);
    row.state = aside_state::held;
    row.holds_key = holds_key;
    return row;
}

aside_insert holder(lsn at) {
    aside_insert row = refused_row(at);
    row.holds_key = true;
    return row;
}

aside_lane of_key(std::uint32_t most_rows, bool redriven = false) {
    return {"out", lane, std::nullopt, redriven, most_rows};
}

std::vector<std::uint64_t> places(const std::vector<postgres::aside_loaded>& rows) {
    std::vector<std::uint64_t> out;
    for (const auto& row : rows)
        out.push_back(row.row.position.commit_lsn.value);
    return out;
}

using numbers = std::vector<std::uint64_t>;

std::string text_of(const postgres::aside_summary::waiting_lane& one) {
    return one.sink + (one.lane ? "/key" : "/row") + (one.redriven ? "/redriven" : "") +
           (one.waits_for_operator ? "/waits" : "");
}

}  // namespace

TEST_CASE("held rows of a key come oldest first, with all that is needed to send them") {
    aside_slot on;
    aside_insert message = held(lsn{32});
    message.position.what = event::row_position::origin::message;
    message.position.ordinal = 4;
    message.position.rows_before = 2;
    aside_insert lone = held(lsn{32});
    lone.position = {};
    lone.position.commit_lsn = lsn{32};
    lone.position.what = event::row_position::origin::lone_message;
    on.put(std::vector{held(lsn{48}), message, lone, held(lsn{32}), held(lsn{16})});

    const auto rows = on.load({of_key(10)});
    REQUIRE(rows.size() == 5);
    CHECK(places(rows) == numbers{16, 32, 32, 32, 48});
    CHECK(rows[1].row.position.what == event::row_position::origin::lone_message);
    CHECK(rows[1].row.position.commit_time_us == 0);
    CHECK(rows[1].row.position.place() == lone.position.place());
    CHECK(rows[2].row.position.place() == held(lsn{32}).position.place());
    CHECK(rows[3].row.position.ordinal == 4);
    CHECK(rows[3].row.position.rows_before == 2);
    CHECK(rows[3].row.position.place() == message.position.place());
    const auto& first = rows[0];
    CHECK(first.attempts == 3);
    CHECK_FALSE(first.redriven);
    CHECK_FALSE(first.blocks);
    CHECK(first.row.position.xid == 4'000'000'000);
    CHECK(first.row.position.commit_time_us == 1'700'000'000'123'457);
    const auto written = refused_row(lsn{16}).messages;
    CHECK(first.row.relation == written.relation);
    CHECK(std::string{reinterpret_cast<const char*>(first.row.message.get()),
                      first.row.message_bytes} == written.insert);
}

TEST_CASE("a lane gives no more rows than it was asked for, and none of its neighbours'") {
    aside_slot on;
    aside_insert other_sink = held(lsn{8});
    other_sink.sink = "other";
    aside_insert other_key = held(lsn{9});
    other_key.lane = 7;
    on.put(std::vector{held(lsn{16}), held(lsn{32}), held(lsn{48}), other_sink, other_key});
    CHECK(places(on.load({of_key(2)})) == numbers{16, 32});
    const auto both = on.load({of_key(1), {"other", lane, {}, false, 5}});
    CHECK(places(both) == numbers{16, 8});
    CHECK(both[0].lane == 0);
    CHECK(both[1].lane == 1);
    CHECK(on.load({}).empty());
}

TEST_CASE("the bytes are shared by all lanes, and one row is given however large it is") {
    aside_slot on;
    const auto sized = [](std::uint64_t at, std::uint64_t key, std::size_t bytes) {
        aside_insert row = held(lsn{at});
        row.lane = key;
        row.messages.insert.assign(bytes, 'x');
        return row;
    };
    on.put(std::vector{sized(1, 1, 5'000), sized(2, 1, 1'000), sized(3, 1, 10), sized(4, 2, 5'000),
                       sized(5, 2, 100), sized(6, 2, 100)});
    const aside_lane first{"out", 1, {}, false, 10};
    const aside_lane second{"out", 2, {}, false, 10};
    const aside_lane nothing{"out", 3, {}, false, 10};
    for (const std::uint64_t little : {1, 5'000, 9'999}) {
        const auto rows = on.load({nothing, first, second}, little);
        CHECK(places(rows) == numbers{1, 4});
        CHECK_FALSE(rows[0].left);
        CHECK(rows[0].row.message_bytes == 5'000);
        CHECK(rows[1].left);
        CHECK(rows[1].row.message_bytes == 0);
    }
    const auto both = on.load({first, second}, 10'000);
    CHECK(places(both) == numbers{1, 4});
    CHECK_FALSE(both[1].left);
    CHECK(places(on.load({first, second}, 11'050)) == numbers{1, 2, 4});
    CHECK(places(on.load({first, second}, 11'120)) == numbers{1, 2, 3, 4, 5});
    CHECK(places(on.load({first, second}, UINT64_MAX)) == numbers{1, 2, 3, 4, 5, 6});
}

TEST_CASE("nothing behind a parked row that holds its key is given") {
    aside_slot on;
    on.put(std::vector{held(lsn{32}), held(lsn{16}), holder(lsn{24})});
    auto rows = on.load({of_key(10)});
    CHECK(places(rows) == numbers{16, 24});
    CHECK_FALSE(rows[0].blocks);
    CHECK(rows[1].blocks);
    CHECK(rows[1].row.message_bytes == 0);

    engine::aside_change done;
    done.id = rows[0].id;
    done.state = aside_state::delivered;
    on.change(done);
    rows = on.load({of_key(10)});
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].blocks);

    CHECK(on.ask(postgres::drop_aside(*on.link, on.scope, {rows[0].id})).value());
    CHECK(places(on.load({of_key(10)})) == numbers{32});
}

TEST_CASE("rows that are sent again beside their key are a lane of their own, single ones too") {
    aside_slot on;
    aside_insert single = held(lsn{8}, false);
    single.key.reset();
    single.lane.reset();
    const auto id = on.put(single);
    on.put(std::vector{held(lsn{16}), held(lsn{32}, false), refused_row(lsn{24})});
    CHECK(places(on.load({of_key(10)})) == numbers{16});
    CHECK(places(on.load({of_key(10, true)})) == numbers{32});
    CHECK(places(on.load({{"out", {}, id, false, 1}})) == numbers{8});
    engine::aside_change done;
    done.id = id;
    on.change(done);
    CHECK(on.load({{"out", {}, id, false, 1}}).empty());
}

TEST_CASE("a redriven row is held again and stays marked when it is refused once more") {
    aside_slot on;
    const auto parked = on.put(refused_row(lsn{32}));
    const auto waiting = on.put(held(lsn{16}));
    const auto gone = on.put(held(lsn{48}));
    engine::aside_change done;
    done.id = gone;
    on.change(done);
    aside_insert homeless = refused_row(lsn{64});
    homeless.sink.clear();
    const auto unrouted = on.put(homeless);

    CHECK(on.ask(postgres::redrive_aside(*on.link, on.scope, {unrouted, gone, parked, waiting, 0}))
              .value());
    CHECK(on.cell("select string_agg(state || (redriven_at is not null), ' ' order by lsn)"
                  " from rows") == "heldtrue heldtrue deliveredfalse parkedfalse");
    const auto rows = on.load({of_key(5, true)});
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].redriven);
    CHECK(rows[0].attempts == 0);

    engine::aside_change refused;
    refused.id = parked;
    refused.state = aside_state::parked;
    on.change(refused);
    CHECK(on.cell("select state || (redriven_at is not null) from rows where lsn = '0/20'") ==
          "parkedtrue");
    CHECK(on.ask(postgres::redrive_aside(*on.link, on.scope, {})).value());
}

TEST_CASE("dropping takes what waits, whether it has a sink or not, and leaves the rest") {
    aside_slot on;
    aside_insert homeless = refused_row(lsn{64});
    homeless.sink.clear();
    const auto unrouted = on.put(homeless);
    const auto waiting = on.put(held(lsn{16}));
    const auto gone = on.put(held(lsn{48}));
    engine::aside_change done;
    done.id = gone;
    on.change(done);
    CHECK(on.ask(postgres::drop_aside(*on.link, on.scope, {gone, unrouted, waiting})).value());
    CHECK(on.cell("select string_agg(state, ' ' order by lsn) from rows") ==
          "dropped delivered dropped");
}

TEST_CASE("a row that no route took goes to the sinks of today's routes, in one transaction") {
    aside_slot on;
    aside_insert homeless = refused_row(lsn{16});
    homeless.sink.clear();
    const auto id = on.put(homeless);
    aside_insert later = refused_row(lsn{32});
    later.sink.clear();
    const auto second = on.put(later);
    on.put(refused_row(lsn{48}));

    auto loaded = on.ask(postgres::load_unrouted(*on.link, on.scope, {second, id, 0}));
    REQUIRE(loaded);
    REQUIRE(loaded->size() == 2);
    CHECK(loaded->at(0).id == id);
    CHECK(loaded->at(1).row.position.commit_lsn == lsn{32});
    CHECK(loaded->at(1).row.message_bytes == later.messages.insert.size());
    loaded = on.ask(postgres::load_unrouted(*on.link, on.scope, {second, id}, 1));
    CHECK(loaded->size() == 1);

    CHECK(on.ask(postgres::reroute_aside(*on.link, on.scope, id, {}, "no route takes it")).value());
    CHECK(on.cell("select state || ' ' || error from rows where lsn = '0/10'") ==
          "parked no route takes it");

    aside_insert other = refused_row(lsn{16});
    other.sink = "other";
    std::vector<aside_insert> targets{refused_row(lsn{16}), other};
    CHECK(on.ask(postgres::reroute_aside(*on.link, on.scope, id, targets, "")).value());
    CHECK(on.cell("select string_agg(sink || state || (redriven_at is not null), ' ' order by id)"
                  " from rows where lsn = '0/10'") == "deliveredfalse outheldtrue otherheldtrue");

    CHECK(on.ask(postgres::reroute_aside(*on.link, on.scope, id, targets, "")).value());
    CHECK(on.cell("select count(*) from rows where lsn = '0/10'") == "3");
}

TEST_CASE("a start reads which lanes wait, what may come again, and what is paused") {
    aside_slot on;
    aside_insert other = holder(lsn{64});
    other.sink = "other";
    aside_insert other_held = held(lsn{80});
    other_held.sink = "other";
    aside_insert single = held(lsn{96}, false);
    single.lane.reset();
    aside_insert single_parked = refused_row(lsn{97});
    single_parked.lane.reset();
    aside_insert homeless = refused_row(lsn{98});
    homeless.sink.clear();
    on.put(std::vector{held(lsn{16}), holder(lsn{32}), held(lsn{48}, false), other, other_held,
                       single, single_parked, homeless, refused_row(lsn{99})});
    for (const char* const call :
         {"pause(%, 'out')", "resume(%, 'out')", "pause(%, 'other')", "pause('elsewhere', 'x')"}) {
        std::string sql = "select walrelay." + std::string{call};
        if (const auto at = sql.find('%'); at != std::string::npos)
            sql.replace(at, 1, "'" + on.scope.slot + "'");
        on.events.ask(*on.link, sql);
    }

    const auto read = on.summary(lsn{64});
    std::vector<std::string> lanes;
    for (const auto& one : read.lanes)
        lanes.push_back(text_of(one));
    CHECK(lanes ==
          std::vector<std::string>{"other/key/waits", "out/key/redriven", "out/key", "out/row"});
    CHECK(read.lanes.back().id > 0);
    CHECK(read.lanes[0].lane == lane);

    REQUIRE(read.entries.size() == 6);
    CHECK(read.entries[0].place == refused_row(lsn{64}).position.place());
    CHECK(read.entries[0].sink == "other");
    CHECK(read.entries[0].state == aside_state::parked);
    CHECK(read.entries[0].holds_key);
    CHECK(read.entries[1].state == aside_state::held);
    CHECK(read.entries[4].sink.empty());
    CHECK(read.entries[5].place.commit_lsn == lsn{99});

    const auto pauses = *on.ask(postgres::read_pauses(*on.link, on.scope.slot));
    REQUIRE(pauses.size() == 2);
    CHECK(pauses[0].sink == "other");
    CHECK(pauses[0].paused);
    CHECK(pauses[1].sink == "out");
    CHECK_FALSE(pauses[1].paused);
    CHECK(pauses[1].mark < pauses[0].mark);
}

TEST_CASE("the rows that a mark concerns are found whatever their state, with what they led to") {
    aside_slot on;
    const auto keyed = on.put(refused_row(lsn{10}));
    postgres::aside_insert homeless = refused_row(lsn{11});
    homeless.sink.clear();
    const auto unrouted = on.put(homeless);
    const auto other = on.put(refused_row(lsn{12}));
    static_cast<void>(on.ask(postgres::drop_aside(*on.link, on.scope, {keyed})));
    static_cast<void>(
        on.ask(postgres::reroute_aside(*on.link, on.scope, unrouted, {refused_row(lsn{11})}, "")));
    const auto found = *on.ask(postgres::marked_rows(*on.link, on.scope, {keyed, unrouted}));
    REQUIRE(found.size() == 2);
    for (const auto& row : found) {
        CHECK(row.id != unrouted);
        CHECK(row.id != other);
        CHECK_FALSE(row.sink.empty());
    }
}

TEST_CASE("a start reads any number of lanes and rows") {
    aside_slot on;
    std::vector<aside_insert> rows;
    constexpr std::uint64_t many = 5'400;
    for (std::uint64_t i = 1; i <= many; ++i) {
        aside_insert row = held(lsn{many + 1 - i / 2}, i % 3 != 0);
        row.position.ordinal = static_cast<std::uint32_t>(i % 2);
        row.lane = i;
        if (i > many / 2 + 2'000) row.lane.reset();
        rows.push_back(std::move(row));
    }
    on.put(std::move(rows));
    const auto read = on.summary();
    CHECK(read.lanes.size() == many);
    REQUIRE(read.entries.size() == many);
    for (std::size_t i = 1; i < many; ++i)
        REQUIRE(read.entries[i - 1].place < read.entries[i].place);
}

TEST_CASE("a row that was damaged by hand is told by name and keeps no other from being read") {
    aside_slot on;
    const auto damage = [&](const std::string& what) {
        static std::uint64_t at = 100;
        const auto id = on.put(held(lsn{++at}));
        on.events.ask(*on.link,
                      "update walrelay.parked set " + what + " where id = " + std::to_string(id));
    };
    on.put(held(lsn{16}));
    damage("xid = -1");
    damage("committed_at = 'infinity'");
    damage("attempts = 5000000000");
    damage("ordinal = -1");
    damage("message_number = -1");
    on.put(held(lsn{1000}));
    const auto rows = on.load({of_key(10)});
    REQUIRE(rows.size() == 7);
    const std::vector<std::string> named{
        "", "xid", "committed_at", "attempts", "origin doesn't go with ordinal", "no place of", ""};
    for (std::size_t i = 0; i < named.size(); ++i) {
        CHECK_THAT(rows[i].fault, ContainsSubstring(named[i]));
        CHECK(rows[i].fault.empty() == named[i].empty());
        CHECK(rows[i].row.message_bytes == (named[i].empty() ? 6 : 0));
    }
    CHECK(on.summary().lanes.size() == 1);
    CHECK(on.summary().entries.size() == 6);

    aside_insert homeless = refused_row(lsn{8});
    homeless.sink.clear();
    const auto broken = on.put(homeless);
    homeless.position.ordinal = 1;
    const auto whole = on.put(homeless);
    on.events.ask(*on.link,
                  "update walrelay.parked set xid = -1 where id = " + std::to_string(broken));
    const auto unrouted = on.ask(postgres::load_unrouted(*on.link, on.scope, {broken, whole}));
    REQUIRE(unrouted);
    REQUIRE(unrouted->size() == 2);
    CHECK_THAT(unrouted->at(0).fault, ContainsSubstring("xid"));
    CHECK(unrouted->at(1).fault.empty());
}
