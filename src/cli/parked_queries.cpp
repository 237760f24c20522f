#include "parked_queries.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <utility>

#include "parked_selection.hpp"
#include "walrelay/postgres/aside_store.hpp"
#include "walrelay/postgres/catalog.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;

using postgres::connection;
using postgres::row_set;
using postgres::sql_result;

namespace {

using parameters = std::vector<std::optional<std::string>>;

constexpr const char* row_columns =
    "p.id::text, p.state, p.sink, p.source_table, p.event_id, p.key, p.type, p.destination,"
    " p.error, p.attempts::text, p.lsn::text, to_char(p.parked_at, 'YYYY-MM-DD "
    "HH24:MI:SS.MS\"Z\"'),"
    " greatest(extract(epoch from clock_timestamp() - p.parked_at), 0)::bigint::text,"
    " p.holds_key::text, to_char(p.redriven_at, 'YYYY-MM-DD HH24:MI:SS.MS\"Z\"')";
constexpr std::size_t row_column_count = 15;

constexpr const char* counts_query =
    "select p.state, p.sink, count(*) from walrelay.parked p where p.slot = $1"
    " and p.system_identifier = (select c.system_identifier from pg_control_system() c)"
    " and p.state in ('held', 'parked') group by 1, 2 order by 1 desc, 2";

constexpr const char* misfits_query =
    "select i.id, case when p.id is null then 'there is no such row in walrelay.parked'"
    " when p.slot <> $2 then format('belongs to slot \"%s\"', p.slot)"
    " when p.system_identifier <> (select c.system_identifier from pg_control_system() c)"
    " then 'was written on another server'"
    " else format('is %s already', p.state) end"
    " from unnest($1::bigint[]) with ordinality i (id, place)"
    " left join walrelay.parked p on p.id = i.id"
    " where p.id is null or p.slot <> $2 or p.state not in ('held', 'parked')"
    " or p.system_identifier <> (select c.system_identifier from pg_control_system() c)"
    " order by i.place";

template <class Integer>
Integer number(const row_set& rows, std::size_t row, std::size_t column) {
    const std::string_view text = rows.text(row, column);
    Integer value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::optional<std::string> nullable(const row_set& rows, std::size_t row, std::size_t column) {
    if (rows.is_null(row, column)) return std::nullopt;
    return std::string{rows.text(row, column)};
}

parked_row row_of(const row_set& rows, std::size_t at) {
    parked_row row;
    row.id = number<std::int64_t>(rows, at, 0);
    row.state = rows.text(at, 1);
    row.sink = rows.text(at, 2);
    row.table = rows.text(at, 3);
    row.event_id = rows.text(at, 4);
    row.key = nullable(rows, at, 5);
    row.type = nullable(rows, at, 6);
    row.destination = rows.text(at, 7);
    row.error = rows.text(at, 8);
    row.attempts = number<std::uint64_t>(rows, at, 9);
    row.lsn = rows.text(at, 10);
    row.parked_at = rows.text(at, 11);
    row.age_seconds = number<std::int64_t>(rows, at, 12);
    row.holds_key = rows.text(at, 13) == "true";
    row.redriven_at = nullable(rows, at, 14);
    return row;
}

std::string array_of(const std::vector<std::int64_t>& ids) {
    std::string out = "{";
    for (const std::int64_t id : ids)
        out += (out.size() > 1 ? "," : "") + std::to_string(id);
    return out + "}";
}

}  // namespace

asio::awaitable<sql_result<parked_list>> read_parked_list(connection& link, const std::string& slot,
                                                          const parked_list_options& what) {
    std::string matching = std::string{" from walrelay.parked p where "} + selection_sql;
    if (!what.which.all) matching += " and p.state in ('held', 'parked')";
    const std::string sql =
        std::string{"select "} + row_columns + matching + " order by p.id desc limit $8::bigint";
    parameters values = selection_parameters(what.which, slot);
    const auto total = co_await link.query("select count(*)" + matching, values);
    if (!total) co_return total.error();
    values.emplace_back(std::to_string(what.limit));
    const auto rows = co_await link.query(sql, values);
    if (!rows) co_return rows.error();
    auto counts = co_await count_parked(link, slot);
    if (!counts) co_return counts.error();
    parked_list list;
    for (std::size_t at = rows->size(); at > 0; --at)
        list.rows.push_back(row_of(*rows, at - 1));
    const auto all = number<std::uint64_t>(*total, 0, 0);
    list.older = all - std::min<std::uint64_t>(all, list.rows.size());
    list.counts = std::move(*counts);
    co_return list;
}

asio::awaitable<sql_result<std::vector<parked_count>>> count_parked(connection& link,
                                                                    const std::string& slot) {
    parameters values{slot};
    const auto rows = co_await link.query(counts_query, values);
    if (!rows) co_return rows.error();
    std::vector<parked_count> counts;
    for (std::size_t row = 0; row < rows->size(); ++row) {
        counts.push_back({std::string{rows->text(row, 0)}, std::string{rows->text(row, 1)},
                          number<std::uint64_t>(*rows, row, 2)});
    }
    co_return counts;
}

asio::awaitable<sql_result<std::vector<std::string>>> read_paused(connection& link,
                                                                  const std::string& slot) {
    std::string of_slot = slot;
    const auto marks = co_await postgres::read_pauses(link, std::move(of_slot));
    if (!marks) co_return marks.error();
    std::vector<std::string> sinks;
    for (const postgres::pause_mark& mark : *marks) {
        if (mark.paused) sinks.push_back(mark.sink);
    }
    co_return sinks;
}

asio::awaitable<sql_result<std::optional<parked_details>>> read_parked(connection& link,
                                                                       std::int64_t id) {
    postgres::statement what;
    what.sql = std::string{"select "} + row_columns +
               ", p.slot, to_char(p.updated_at, 'YYYY-MM-DD HH24:MI:SS.MS\"Z\"'), p.xid::text,"
               " to_char(p.committed_at, 'YYYY-MM-DD HH24:MI:SS.US\"Z\"'), p.ordinal::text,"
               " p.message_number::text, p.origin,"
               " case when isfinite(p.committed_at)"
               " then (extract(epoch from p.committed_at) * 1000000)::bigint::text end, p.relation,"
               " p.message from walrelay.parked p where p.id = $1::bigint";
    what.parameters.push_back({std::to_string(id), false});
    what.binary_answer = true;
    const auto rows = co_await link.query(what);
    if (!rows) co_return rows.error();
    if (rows->size() == 0) co_return std::optional<parked_details>{};
    constexpr std::size_t next = row_column_count;
    parked_details found;
    found.row = row_of(*rows, 0);
    found.slot = rows->text(0, next);
    found.updated_at = rows->text(0, next + 1);
    found.xid = number<std::uint64_t>(*rows, 0, next + 2);
    found.committed_at = rows->text(0, next + 3);
    auto& position = found.stored.position;
    if (const auto commit = parse_lsn(found.row.lsn)) position.commit_lsn = *commit;
    position.xid = static_cast<std::uint32_t>(found.xid);
    position.commit_time_us = number<std::int64_t>(*rows, 0, next + 7);
    const auto ordinal = number<std::int32_t>(*rows, 0, next + 4);
    const std::string_view origin = rows->text(0, next + 6);
    if (origin == "row") {
        position.ordinal = static_cast<std::uint32_t>(std::max(ordinal, 0));
    } else if (origin == "message") {
        position.what = event::row_position::origin::message;
        position.ordinal = number<std::uint32_t>(*rows, 0, next + 5) - 1;
        position.rows_before = static_cast<std::uint32_t>(ordinal + 1);
    } else {
        position.what = event::row_position::origin::lone_message;
    }
    found.stored.relation = rows->text(0, next + 8);
    const std::string_view message = rows->text(0, next + 9);
    found.stored.message = std::make_unique_for_overwrite<std::byte[]>(message.size());
    found.stored.message_bytes = message.size();
    if (!message.empty()) std::memcpy(found.stored.message.get(), message.data(), message.size());
    co_return std::optional<parked_details>{std::move(found)};
}

asio::awaitable<sql_result<std::vector<parked_misfit>>> find_misfits(
    connection& link, const std::string& slot, const std::vector<std::int64_t>& ids) {
    parameters values{array_of(ids), slot};
    const auto rows = co_await link.query(misfits_query, values);
    if (!rows) co_return rows.error();
    std::vector<parked_misfit> misfits;
    for (std::size_t row = 0; row < rows->size(); ++row)
        misfits.push_back({number<std::int64_t>(*rows, row, 0), std::string{rows->text(row, 1)}});
    co_return misfits;
}

asio::awaitable<sql_result<std::uint64_t>> write_marks(connection& link, const std::string& slot,
                                                       const parked_mark_options& what) {
    const bool redrives = what.what == parked_mark_options::action::redrive;
    // What only waits behind others goes on by itself: it is touched where it is asked for.
    const bool held = what.which.held || !what.which.ids.empty();
    const std::string sql =
        std::string{"select walrelay."} + (redrives ? "redrive" : "drop_parked") +
        "(array(select p.id from walrelay.parked p where " + selection_sql +
        (held ? " and p.state in ('held', 'parked')))" : " and p.state = 'parked'))");
    parameters values = selection_parameters(what.which, slot);
    const auto rows = co_await link.query(sql, values);
    if (!rows) co_return rows.error();
    co_return number<std::uint64_t>(*rows, 0, 0);
}

asio::awaitable<sql_result<void>> write_pause(connection& link, const std::string& slot,
                                              const pause_options& what) {
    const std::string sql =
        std::string{"select walrelay."} + (what.paused ? "pause" : "resume") + "($1, $2)";
    parameters values{slot, what.sink};
    const auto done = co_await link.query(sql, values);
    if (!done) co_return done.error();
    co_return sql_result<void>{};
}

asio::awaitable<sql_result<bool>> marks_are_published(
    connection& link, const std::vector<std::string>& publications) {
    auto found = co_await postgres::read_publications(link, publications);
    if (!found) co_return found.error();
    co_return std::any_of(found->tables.begin(), found->tables.end(), [](const auto& one) {
        return one.schema == "walrelay" && one.name == "redrive";
    });
}

}  // namespace walrelay::cli
