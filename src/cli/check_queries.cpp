#include "check_queries.hpp"

#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include "install_script.hpp"
#include "schema_objects.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/postgres/progress.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;

using postgres::connection;
using postgres::row_set;
using postgres::sql_result;

namespace {

// has_…_privilege() by oid: by name they fail where schema or table is missing.
constexpr const char* rights_query = R"(
select n.oid is not null,
       c.oid is not null,
       p.oid is not null,
       coalesce(has_schema_privilege(n.oid, 'USAGE'), false),
       coalesce(has_table_privilege(c.oid, 'SELECT') and has_table_privilege(c.oid, 'INSERT')
                and has_table_privilege(c.oid, 'UPDATE'), false),
       coalesce(has_function_privilege(p.oid, 'EXECUTE'), false),
       (select coalesce(bool_and(has_table_privilege(a.oid, 'SELECT')
                                 and (a.relname = 'redrive'
                                      or has_table_privilege(a.oid, 'INSERT')
                                         and has_table_privilege(a.oid, 'UPDATE'))), true)
        from pg_class a where a.relnamespace = n.oid and a.relname in ('parked', 'redrive'))
from (select) as always
    left join pg_namespace n on n.nspname = 'walrelay'
    left join pg_class c on c.relnamespace = n.oid and c.relname = 'progress'
    left join pg_proc p on p.pronamespace = n.oid and p.proname = 'rotate')";

constexpr const char* capacity_query = R"(
select current_setting('max_replication_slots'),
       (select count(*) from pg_replication_slots),
       current_setting('max_wal_senders'),
       (select count(*) from pg_stat_get_wal_senders()),
       (select setting from pg_settings where name = 'max_slot_wal_keep_size'),
       coalesce(current_setting('idle_replication_slot_timeout', true), ''),
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'))";

// A domain is known by the type that it is made of, over as many domains as it takes.
constexpr const char* table_query = R"(
select c.relkind, c.relpersistence, a.attname,
       (with recursive made_of(type) as (
            select a.atttypid
            union all
            select t.typbasetype from made_of join pg_type t on t.oid = made_of.type
            where t.typtype = 'd')
        select made_of.type from made_of join pg_type t on t.oid = made_of.type
        where t.typtype <> 'd'),
       a.attgenerated <> ''
from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relname = $2
order by a.attnum)";

constexpr const char* record_query = R"(
select safe_lsn, system_identifier, timeline, to_char(updated_at, 'YYYY-MM-DD HH24:MI:SS TZ')
from walrelay.progress where slot = $1)";

// As JSON, so that columns which a version has not are NULL instead of an error.
constexpr const char* replication_query = R"(
select (select to_jsonb(s) ->> 'failover' from pg_replication_slots s where slot_name = $1),
       coalesce((select to_jsonb(s) ->> 'two_phase' from pg_replication_slots s
                 where slot_name = $1), 'false') = 'true',
       exists (select from pg_replication_slots where slot_type = 'physical')
           or exists (select from pg_stat_get_wal_senders() w
                      where not exists (select from pg_replication_slots l
                                        where l.slot_type = 'logical' and l.active_pid = w.pid)),
       coalesce(current_setting('synchronized_standby_slots', true), ''),
       current_setting('synchronous_standby_names'))";

// Only who has written has an xid, and only that holds WAL back.
constexpr const char* sessions_query = R"(
select pid, coalesce(nullif(application_name, ''), 'no application_name'),
       extract(epoch from clock_timestamp() - xact_start)::bigint
from pg_stat_activity
where backend_xid is not null and pid <> pg_backend_pid()
  and (xact_start is null or xact_start <= clock_timestamp() - make_interval(secs => $1::int))
order by xact_start limit 10)";

constexpr const char* prepared_query = R"(
select gid, database, extract(epoch from clock_timestamp() - prepared)::bigint
from pg_prepared_xacts
where prepared <= clock_timestamp() - make_interval(secs => $1::int)
order by prepared limit 10)";

bool is_true(const row_set& rows, std::size_t column) {
    return rows.text(0, column) == "t";
}

std::int64_t number(std::string_view text) {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

table_facts table_from(const row_set& rows, const routed_table& wanted) {
    table_facts table;
    table.schema = wanted.schema;
    table.name = wanted.name;
    if (rows.size() == 0) return table;
    table.exists = true;
    const auto kind = rows.text(0, 0);
    table.partitioned = kind == "p";
    table.ordinary = (kind == "r" || kind == "p") && rows.text(0, 1) == "p";
    for (std::size_t row = 0; row < rows.size(); ++row) {
        if (rows.is_null(row, 2)) continue;
        pgoutput::column column;
        column.name = rows.text(row, 2);
        column.type_oid = static_cast<std::uint32_t>(number(rows.text(row, 3)));
        if (rows.text(row, 4) == "t") table.generated.push_back(column.name);
        table.columns.push_back(std::move(column));
    }
    return table;
}

asio::awaitable<sql_result<void>> gather_catalog(connection& link, const config::model& model,
                                                 facts& found) {
    auto settings = co_await postgres::read_settings(link);
    if (!settings) co_return settings.error();
    found.settings = std::move(*settings);
    found.backend_pid = link.backend_pid();
    auto publications = co_await postgres::read_publications(link, model.source.publications);
    if (!publications) co_return publications.error();
    found.publications = std::move(*publications);
    auto slot = co_await postgres::read_slot(link, model.source.slot);
    if (!slot) co_return slot.error();
    found.slot = std::move(*slot);
    if (!found.settings.in_recovery) {
        auto identity = co_await postgres::read_identity(link);
        if (!identity) co_return identity.error();
        found.system_identifier = identity->system_identifier;
        found.timeline = identity->timeline;
    }
    co_return sql_result<void>{};
}

asio::awaitable<sql_result<void>> gather_replication(connection& link, const std::string& slot,
                                                     replication_facts& found) {
    std::vector<std::optional<std::string>> parameters{slot};
    const auto rows = co_await link.query(replication_query, parameters);
    if (!rows) co_return rows.error();
    if (!rows->is_null(0, 0)) found.slot_failover = rows->text(0, 0) == "true";
    found.slot_two_phase = is_true(*rows, 1);
    found.has_standbys = is_true(*rows, 2);
    found.synchronized_standby_slots = rows->text(0, 3);
    found.synchronous_standby_names = rows->text(0, 4);
    co_return sql_result<void>{};
}

/// What this version's schema has and the database lacks.
asio::awaitable<sql_result<void>> gather_objects(connection& link, facts& found) {
    std::string wanted;
    for (const auto& object : schema_objects(schema_files())) {
        if (!wanted.empty()) wanted += ", ";
        wanted += "(" + quote_literal(object.kind) + ", " + quote_literal(object.name) + ")";
    }
    std::string question =
        "select w.kind || ' walrelay.' || w.name from (values " + wanted +
        ") as w(kind, name) where not case w.kind when 'function' then"
        " exists (select from pg_proc p where p.pronamespace = to_regnamespace('walrelay')"
        " and p.proname = w.name)"
        " else exists (select from pg_class c where c.relnamespace = to_regnamespace('walrelay')"
        " and c.relname = w.name) end";
    const auto rows = co_await link.query(question);
    if (!rows) co_return rows.error();
    for (std::size_t row = 0; row < rows->size(); ++row)
        found.missing_objects.emplace_back(rows->text(row, 0));
    co_return sql_result<void>{};
}

asio::awaitable<sql_result<void>> gather_tables(connection& link, const config::model& model,
                                                facts& found) {
    for (const auto& wanted : routed_tables(model)) {
        std::vector<std::optional<std::string>> names{wanted.schema, wanted.name};
        const auto rows = co_await link.query(table_query, names);
        if (!rows) co_return rows.error();
        found.tables.push_back(table_from(*rows, wanted));
    }
    co_return sql_result<void>{};
}

}  // namespace

asio::awaitable<sql_result<std::optional<record_facts>>> read_record(connection& link,
                                                                     std::string slot) {
    const auto rights = co_await link.query(rights_query);
    if (!rights) co_return rights.error();
    if (!is_true(*rights, 1) || !is_true(*rights, 4)) co_return std::optional<record_facts>{};
    std::vector<std::optional<std::string>> parameters{std::move(slot)};
    const auto rows = co_await link.query(record_query, parameters);
    if (!rows) co_return rows.error();
    if (rows->size() == 0) co_return std::optional<record_facts>{};
    record_facts record;
    const auto safe = parse_lsn(rows->text(0, 0));
    if (safe.has_value()) record.safe = *safe;
    record.system_identifier = rows->text(0, 1);
    record.timeline = number(rows->text(0, 2));
    record.updated_at = rows->text(0, 3);
    co_return std::optional<record_facts>{std::move(record)};
}

asio::awaitable<sql_result<std::vector<old_transaction>>> read_writers(connection& link,
                                                                       int at_least_seconds) {
    std::vector<old_transaction> writers;
    std::vector<std::optional<std::string>> age{std::to_string(at_least_seconds)};
    const auto prepared = co_await link.query(prepared_query, age);
    if (!prepared) co_return prepared.error();
    for (std::size_t row = 0; row < prepared->size(); ++row) {
        const auto gid = quote_literal(prepared->text(row, 0));
        const auto database = std::string{prepared->text(row, 1)};
        writers.push_back({"prepared transaction " + gid + " of database " + database,
                           "commit prepared " + gid + ";  -- or rollback, in database " + database,
                           number(prepared->text(row, 2))});
    }
    const auto sessions = co_await link.query(sessions_query, age);
    if (!sessions) co_return sessions.error();
    for (std::size_t row = 0; row < sessions->size(); ++row) {
        // The age of other roles' transactions is hidden; whether they are old can't be told then.
        if (sessions->is_null(row, 2) && at_least_seconds > 0) continue;
        const auto pid = std::string{sessions->text(row, 0)};
        writers.push_back(
            {"pid " + pid + " (" + std::string{sessions->text(row, 1)} + ")",
             "select pg_terminate_backend(" + pid + ");  -- if it can't be ended otherwise",
             number(sessions->text(row, 2))});
    }
    co_return writers;
}

asio::awaitable<std::optional<postgres::sql_error>> try_replication(asio::any_io_executor loop,
                                                                    std::string conninfo) {
    postgres::connect_options options;
    options.conninfo = std::move(conninfo);
    options.application_name = "walrelay check";
    options.replication = true;
    auto link = co_await connection::open(loop, options);
    if (!link) co_return link.error();
    std::string identify = "IDENTIFY_SYSTEM";
    const auto answer = co_await (*link)->query(identify);
    if (!answer) co_return answer.error();
    co_return std::nullopt;
}

asio::awaitable<sql_result<facts>> gather_facts(connection& link, const config::model& model) {
    facts found;
    const auto catalog = co_await gather_catalog(link, model, found);
    if (!catalog) co_return catalog.error();

    const auto rights = co_await link.query(rights_query);
    if (!rights) co_return rights.error();
    found.rights = {is_true(*rights, 0), is_true(*rights, 1), is_true(*rights, 2),
                    is_true(*rights, 3), is_true(*rights, 4), is_true(*rights, 5),
                    is_true(*rights, 6)};
    const auto objects = co_await gather_objects(link, found);
    if (!objects) co_return objects.error();
    if (model.source.progress) {
        auto record = co_await read_record(link, model.source.slot);
        if (!record) co_return record.error();
        found.record = std::move(*record);
    }

    const auto capacity = co_await link.query(capacity_query);
    if (!capacity) co_return capacity.error();
    found.capacity = {number(capacity->text(0, 0)), number(capacity->text(0, 1)),
                      number(capacity->text(0, 2)), number(capacity->text(0, 3)),
                      number(capacity->text(0, 4)), std::string{capacity->text(0, 5)}};
    found.sees_other_sessions = is_true(*capacity, 6);

    const auto replication =
        co_await gather_replication(link, model.source.slot, found.replication);
    if (!replication) co_return replication.error();

    const auto tables = co_await gather_tables(link, model, found);
    if (!tables) co_return tables.error();
    constexpr int five_minutes = 300;
    auto writers = co_await read_writers(link, five_minutes);
    if (!writers) co_return writers.error();
    found.old_transactions = std::move(*writers);
    co_return found;
}

}  // namespace walrelay::cli
