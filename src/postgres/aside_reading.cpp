// What is read back from walrelay.parked, and the newest marks of walrelay.redrive.
#include <string>
#include <utility>
#include <vector>

#include "aside_rows.hpp"
#include "cells.hpp"
#include "walrelay/postgres/aside_store.hpp"

namespace walrelay::postgres {

namespace asio = boost::asio;

namespace {

constexpr std::size_t most_rows_a_page = 5000;

/// What the index of lanes holds; a statement that says it word for word is served by it.
constexpr const char* waits_in_a_lane =
    " and p.lane is not null and (p.state = 'held' or p.state = 'parked' and p.holds_key)";

constexpr const char* ours = "p.slot = $1 and p.system_identifier = $2::bigint";

/// One row each, of a lane; octet_length() doesn't fetch what is stored apart.
constexpr const char* row_of_lane =
    "select p.id, p.lsn, p.ordinal, p.message_number, p.state = 'parked' as blocks,"
    " case p.state when 'parked' then 0 else octet_length(p.message) end as size"
    " from walrelay.parked p where p.slot = $1 and p.system_identifier = $2::bigint";

constexpr const char* in_order = " order by p.lsn, p.ordinal, p.message_number limit l.most)";

/// $3 are the lanes, $4 the bytes. `place` is a row's number within its lane: the bytes are given
/// to all first rows, then to all second ones, until they are used up; but one row always finds
/// room. Where one lane's row finds none the rows behind it find none either, so that no lane gets
/// a gap.
const std::string load_statement =
    std::string{
        "with lanes as (select * from json_to_recordset($3::json) as l (n integer,"
        " sink text, lane bigint, id bigint, redriven boolean, most bigint)),"
        " found as (select l.n, r.* from lanes l cross join lateral (("} +
    row_of_lane +
    " and l.id is null and not l.redriven and p.sink = l.sink and p.lane = l.lane"
    " and p.holds_key" +
    waits_in_a_lane + in_order + " union all (" + row_of_lane +
    " and l.id is null and l.redriven and p.sink = l.sink and p.lane = l.lane"
    " and not p.holds_key" +
    waits_in_a_lane + in_order + " union all (" + row_of_lane +
    " and p.id = l.id and p.state = 'held')) r),"
    " placed as (select f.*, row_number() over lane as place,"
    " sum(f.blocks::integer) over (lane rows between unbounded preceding and 1 preceding)"
    " as blocked from found f"
    " window lane as (partition by f.n order by f.lsn, f.ordinal, f.message_number)),"
    " sized as (select d.*, sum(d.size) over turn as used, row_number() over turn as turn"
    " from placed d where coalesce(d.blocked, 0) = 0 window turn as (order by d.place, d.n)),"
    " given as (select z.*, z.turn > 1 and z.used > $4::bigint as is_left from sized z)"
    " select g.n::text, g.id::text, p.attempts::text, (p.redriven_at is not null)::text,"
    " g.blocks::text, g.is_left::text, " +
    stored_columns +
    ", case when g.blocks or g.is_left then null else p.message end"
    " from given g join walrelay.parked p using (id)"
    " where g.place = 1 or not g.is_left order by g.n, g.place";

const std::string unrouted_statement =
    std::string{
        "with found as (select p.id, sum(octet_length(p.message)) over (order by p.id)"
        " as used, row_number() over (order by p.id) as place"
        " from walrelay.parked p where "} +
    ours +
    " and p.id = any ($3::bigint[]) and p.state = 'parked' and p.sink = '')"
    " select p.id::text, " +
    stored_columns +
    ", p.message from found f join walrelay.parked p using (id)"
    " where f.place = 1 or f.used <= $4::bigint order by p.id";

/// The oldest row of the first lane of a key behind the lane of these three.
std::string lane_behind(const std::string& sink, const std::string& lane,
                        const std::string& holds_key) {
    return std::string{
               "(select p.sink, p.lane, p.holds_key, p.state, p.id from walrelay.parked p where "} +
           ours + waits_in_a_lane + " and (p.sink, p.lane, p.holds_key) > (" + sink + ", " + lane +
           ", " + holds_key +
           ") order by p.sink, p.lane, p.holds_key, p.lsn, p.ordinal, p.message_number limit 1)";
}

/// The lanes behind that of $3, $4 and $5, one step of the index each: distinct() would read all
/// rows of a lane.
const std::string lanes_statement =
    "with recursive found as (" + lane_behind("$3::text", "$4::bigint", "$5::boolean") +
    " union all select next.* from found f cross join lateral " +
    lane_behind("f.sink", "f.lane", "f.holds_key") +
    " next) select sink, lane::text, holds_key::text, state, id::text from found limit $6::bigint";

/// Rows without a key that are sent again, behind the id of $3.
const std::string single_statement =
    std::string{"select p.sink, p.id::text from walrelay.parked p where "} + ours +
    " and p.sink <> '' and p.lane is null and p.state = 'held' and p.id > $3::bigint"
    " order by p.id limit $4::bigint";

/// Behind the place of $3 to $6.
const std::string entries_statement =
    std::string{
        "select p.lsn::text, p.ordinal::text, p.message_number::text, p.sink, p.state,"
        " p.holds_key::text from walrelay.parked p where "} +
    ours +
    " and (p.lsn, p.ordinal, p.message_number, p.sink)"
    " > ($3::pg_lsn, $4::integer, $5::bigint, $6::text)"
    " order by p.lsn, p.ordinal, p.message_number, p.sink limit $7::bigint";

/// Two ways, each with its index: one condition for both would read all rows of the slot.
const std::string marked_statement =
    std::string{
        "with named as (select p.* from walrelay.parked p where p.id = any ($3::bigint[]) and "} +
    ours +
    "), concerned as (select n.id, n.sink, n.lane, n.holds_key from named n"
    " union select p.id, p.sink, p.lane, p.holds_key from named n join walrelay.parked p"
    " using (system_identifier, slot, lsn, ordinal, message_number) where n.sink = '')"
    " select c.id::text, c.sink, c.lane::text, c.holds_key::text from concerned c"
    " where c.sink <> ''";

constexpr const char* pauses_statement =
    "select distinct on (sink) sink, id::text, (action = 'pause')::text from walrelay.redrive"
    " where slot = $1 and action in ('pause', 'resume') and sink is not null"
    " order by sink, id desc";

statement for_slot(const std::string& sql, const aside_scope& scope) {
    return {sql, {{scope.slot, false}, {scope.system_identifier, false}}, true};
}

bool is_true(const row_set& rows, std::size_t row, std::size_t column) {
    return rows.text(row, column) == "true";
}

std::string as_limit(std::uint64_t bytes) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return std::to_string(std::min(bytes, most));
}

using failed = std::optional<sql_error>;

constexpr const char* reading = "read the parked rows of";

asio::awaitable<failed> read_lanes(connection& link, const aside_scope& scope, aside_summary& out) {
    statement what = for_slot(lanes_statement, scope);
    what.parameters.push_back({"", false});  // behind all lanes of no sink
    what.parameters.push_back({as_limit(UINT64_MAX), false});
    what.parameters.push_back({"true", false});
    what.parameters.push_back({std::to_string(most_rows_a_page), false});
    for (;;) {
        const auto rows = co_await link.query(what);
        if (!rows) co_return about_slot(rows.error(), reading, scope);
        for (std::size_t row = 0; row < rows->size(); ++row) {
            const auto lane = lane_cell(*rows, row, 1);
            const auto state = state_of(rows->text(row, 3));
            const auto id = integer_cell<engine::aside_id>(*rows, row, 4);
            if (!lane || !state || !id) co_return not_understood(reading, scope);
            out.lanes.push_back({std::string{rows->text(row, 0)}, lane, *id,
                                 !is_true(*rows, row, 2), *state == engine::aside_state::parked});
            for (std::size_t i = 0; i < 3; ++i)
                what.parameters[2 + i].value = rows->text(row, i);
        }
        if (rows->size() < most_rows_a_page) co_return std::nullopt;
    }
}

asio::awaitable<failed> read_single_rows(connection& link, const aside_scope& scope,
                                         aside_summary& out) {
    statement what = for_slot(single_statement, scope);
    what.parameters.push_back({"0", false});
    what.parameters.push_back({std::to_string(most_rows_a_page), false});
    for (;;) {
        const auto rows = co_await link.query(what);
        if (!rows) co_return about_slot(rows.error(), reading, scope);
        for (std::size_t row = 0; row < rows->size(); ++row) {
            const auto id = integer_cell<engine::aside_id>(*rows, row, 1);
            if (!id) co_return not_understood(reading, scope);
            out.lanes.push_back({std::string{rows->text(row, 0)}, std::nullopt, *id, false, false});
            what.parameters[2].value = rows->text(row, 1);
        }
        if (rows->size() < most_rows_a_page) co_return std::nullopt;
    }
}

asio::awaitable<failed> read_entries(connection& link, const aside_scope& scope, lsn from,
                                     aside_summary& out) {
    statement what = for_slot(entries_statement, scope);
    what.parameters.push_back({to_string(from), false});
    what.parameters.push_back({"-2", false});  // before every row of the position
    what.parameters.push_back({"0", false});
    what.parameters.push_back({"", false});
    what.parameters.push_back({std::to_string(most_rows_a_page), false});
    for (;;) {
        const auto rows = co_await link.query(what);
        if (!rows) co_return about_slot(rows.error(), reading, scope);
        for (std::size_t row = 0; row < rows->size(); ++row) {
            const auto commit = parse_lsn(rows->text(row, 0));
            const auto ordinal = integer_cell<std::int32_t>(*rows, row, 1);
            const auto number = integer_cell<std::uint32_t>(*rows, row, 2);
            const auto state = state_of(rows->text(row, 4));
            for (std::size_t i = 0; i < 4; ++i)
                what.parameters[2 + i].value = rows->text(row, i);
            if (!state) co_return not_understood(reading, scope);
            // No event of the stream is at such a place.
            if (!commit || !ordinal || !number) continue;
            out.entries.push_back({stream_place{*commit, *ordinal, *number},
                                   std::string{rows->text(row, 3)}, *state,
                                   is_true(*rows, row, 5)});
        }
        if (rows->size() < most_rows_a_page) co_return std::nullopt;
    }
}

}  // namespace

asio::awaitable<sql_result<std::vector<aside_loaded>>> load_aside(connection& link,
                                                                  aside_scope scope,
                                                                  std::vector<aside_lane> lanes,
                                                                  std::uint64_t most_bytes) {
    constexpr const char* operation = "read held rows of";
    statement what = for_slot(load_statement, scope);
    what.parameters.push_back({lanes_as_json(lanes), false});
    what.parameters.push_back({as_limit(most_bytes), false});
    const auto rows = co_await link.query(what);
    if (!rows) co_return about_slot(rows.error(), operation, scope);
    std::vector<aside_loaded> loaded;
    for (std::size_t row = 0; row < rows->size(); ++row) {
        constexpr std::size_t first = 6;
        const auto lane = integer_cell<std::size_t>(*rows, row, 0);
        const auto id = integer_cell<engine::aside_id>(*rows, row, 1);
        if (!lane || !id) co_return not_understood(operation, scope);
        aside_loaded one;
        one.lane = *lane;
        one.id = *id;
        one.redriven = is_true(*rows, row, 3);
        one.blocks = is_true(*rows, row, 4);
        one.left = is_true(*rows, row, 5);
        const auto attempts = integer_cell<std::uint32_t>(*rows, row, 2);
        auto stored = stored_row_of(*rows, row, first);
        if (!attempts) stored = intake::not_as_written("attempts is none");
        if (stored) {
            one.attempts = *attempts;
            one.row = std::move(*stored);
            take_message(one.row, rows->text(row, first + stored_column_count));
        } else {
            one.fault = stored.error().text();
        }
        loaded.push_back(std::move(one));
    }
    co_return loaded;
}

asio::awaitable<sql_result<std::vector<aside_unrouted>>> load_unrouted(
    connection& link, aside_scope scope, std::vector<engine::aside_id> ids,
    std::uint64_t most_bytes) {
    constexpr const char* operation = "read parked rows of";
    statement what = for_slot(unrouted_statement, scope);
    what.parameters.push_back({id_array(ids), false});
    what.parameters.push_back({as_limit(most_bytes), false});
    const auto rows = co_await link.query(what);
    if (!rows) co_return about_slot(rows.error(), operation, scope);
    std::vector<aside_unrouted> loaded;
    for (std::size_t row = 0; row < rows->size(); ++row) {
        const auto id = integer_cell<engine::aside_id>(*rows, row, 0);
        if (!id) co_return not_understood(operation, scope);
        aside_unrouted one;
        one.id = *id;
        auto stored = stored_row_of(*rows, row, 1);
        if (stored) {
            one.row = std::move(*stored);
            take_message(one.row, rows->text(row, 1 + stored_column_count));
        } else {
            one.fault = stored.error().text();
        }
        loaded.push_back(std::move(one));
    }
    co_return loaded;
}

asio::awaitable<sql_result<std::vector<pause_mark>>> read_pauses(connection& link,
                                                                 std::string slot) {
    constexpr const char* operation = "read the paused sinks of";
    const aside_scope scope{slot, "", 0};
    const statement what{pauses_statement, {{slot, false}}, true};
    const auto rows = co_await link.query(what);
    if (!rows) co_return about_slot(rows.error(), operation, scope);
    std::vector<pause_mark> pauses;
    for (std::size_t row = 0; row < rows->size(); ++row) {
        const auto mark = integer_cell<std::int64_t>(*rows, row, 1);
        if (!mark) co_return not_understood(operation, scope);
        pauses.push_back({std::string{rows->text(row, 0)}, *mark, is_true(*rows, row, 2)});
    }
    co_return pauses;
}

asio::awaitable<sql_result<std::vector<aside_touched>>> marked_rows(
    connection& link, aside_scope scope, std::vector<engine::aside_id> ids) {
    constexpr const char* operation = "read the marked rows of";
    statement what = for_slot(marked_statement, scope);
    what.parameters.push_back({id_array(ids), false});
    const auto rows = co_await link.query(what);
    if (!rows) co_return about_slot(rows.error(), operation, scope);
    std::vector<aside_touched> found;
    for (std::size_t row = 0; row < rows->size(); ++row) {
        const auto id = integer_cell<engine::aside_id>(*rows, row, 0);
        if (!id) co_return not_understood(operation, scope);
        found.push_back({*id, std::string{rows->text(row, 1)}, lane_cell(*rows, row, 2),
                         is_true(*rows, row, 3)});
    }
    co_return found;
}

asio::awaitable<sql_result<aside_summary>> read_aside(connection& link, aside_scope scope,
                                                      lsn from) {
    aside_summary summary;
    failed failure = co_await read_lanes(link, scope, summary);
    if (!failure) failure = co_await read_single_rows(link, scope, summary);
    if (!failure) failure = co_await read_entries(link, scope, from, summary);
    if (failure) co_return *failure;
    co_return summary;
}

}  // namespace walrelay::postgres
