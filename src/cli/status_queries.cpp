#include "status_queries.hpp"

#include <charconv>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "parked_queries.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;

using postgres::connection;
using postgres::row_set;
using postgres::sql_result;

namespace {

// As JSON, because inactive_since is new in 17.
constexpr const char* position_query = R"(
select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
       (select extract(epoch from clock_timestamp() -
                       (to_jsonb(s) ->> 'inactive_since')::timestamptz)::bigint
        from pg_replication_slots s where slot_name = $1))";

constexpr const char* record_age_query = R"(
select extract(epoch from clock_timestamp() - updated_at)::bigint
from walrelay.progress where slot = $1)";

// The slot's catalog_xmin stands at the oldest transaction that was open when the slot last moved:
// where that is still open, restart_lsn can't go on. Prepared ones first: they don't end by
// themselves.
constexpr const char* oldest_query = R"(
select open.gid, open.database, open.pid, open.application, open.seconds
from (select p.gid, p.database::text, null::integer as pid, null::text as application,
             extract(epoch from clock_timestamp() - p.prepared)::bigint as seconds,
             age(p.transaction) as xid_age
      from pg_prepared_xacts p
      union all
      select null, a.datname::text, a.pid, a.application_name,
             extract(epoch from clock_timestamp() - a.xact_start)::bigint, age(a.backend_xid)
      from pg_stat_activity a
      where a.backend_xid is not null and a.pid <> pg_backend_pid()) as open
    join pg_replication_slots s on s.slot_name = $1 and open.xid_age >= age(s.catalog_xmin)
order by open.xid_age desc, open.gid is null limit 1)";

template <class Integer>
std::optional<Integer> number(const row_set& rows, std::size_t column) {
    if (rows.size() == 0 || rows.is_null(0, column)) return std::nullopt;
    const auto text = rows.text(0, column);
    Integer value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

asio::awaitable<sql_result<void>> gather(connection& link, const std::string& name,
                                         database_facts& out) {
    auto slot = co_await postgres::read_slot(link, name);
    if (!slot) co_return slot.error();
    out.slot = std::move(*slot);
    std::vector<std::optional<std::string>> parameters{name};
    const auto position = co_await link.query(position_query, parameters);
    if (!position) co_return position.error();
    if (const auto end = parse_lsn(position->text(0, 0))) out.wal_end = *end;
    out.unread_seconds = number<std::int64_t>(*position, 1);

    const auto oldest = co_await link.query(oldest_query, parameters);
    if (!oldest) co_return oldest.error();
    if (oldest->size() > 0) {
        out.oldest =
            open_transaction{std::string{oldest->text(0, 0)}, std::string{oldest->text(0, 1)},
                             number<int>(*oldest, 2).value_or(0), std::string{oldest->text(0, 3)},
                             number<std::int64_t>(*oldest, 4)};
    }
    // An older schema has neither table.
    auto aside = co_await count_parked(link, name);
    if (aside) out.aside = std::move(*aside);
    auto paused = co_await read_paused(link, name);
    if (paused) out.paused = std::move(*paused);
    // Without the schema, or without the right to read it, there is no record to show.
    auto record = co_await postgres::read_progress(link, name);
    if (!record || !*record) co_return sql_result<void>{};
    out.record = std::move(*record);
    const auto age = co_await link.query(record_age_query, parameters);
    if (age) out.record_age_seconds = number<std::int64_t>(*age, 0).value_or(0);
    co_return sql_result<void>{};
}

}  // namespace

asio::awaitable<void> gather_status(asio::any_io_executor loop, const config::source& source,
                                    database_facts& out) {
    postgres::connect_options options;
    options.conninfo = source.conninfo;
    options.application_name = "walrelay status";
    auto link = co_await connection::open(loop, options);
    if (!link) {
        out.fault = link.error();
        co_return;
    }
    out.where = (*link)->where();
    const auto done = co_await gather(**link, source.slot, out);
    if (!done) out.fault = done.error();
}

}  // namespace walrelay::cli
