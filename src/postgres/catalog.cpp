#include "walrelay/postgres/catalog.hpp"

#include <utility>

#include "cells.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::postgres {

namespace asio = boost::asio;

namespace {

constexpr int version_15 = 150000;  // row filters, column lists, publications of whole schemas
constexpr int version_17 = 170000;  // pg_replication_slots.invalidation_reason

sql_error named(sql_error failure, const char* operation) {
    failure.what.operation = operation;
    return failure;
}

/// "('a','b')", for IN. Literals, not parameters: replication connections have none.
std::string literal_list(const std::vector<std::string>& names) {
    std::string list = "(";
    for (const std::string& each : names) {
        if (list.size() > 1) list += ',';
        list += quote_literal(each);
    }
    return list + (names.empty() ? "NULL)" : ")");
}

/// One row a published column; a table without any still has a row.
std::string tables_query(int version, const std::string& names) {
    if (version >= version_15) {
        return "SELECT t.pubname, t.schemaname, t.tablename, t.rowfilter IS NOT NULL, c.name"
               " FROM pg_catalog.pg_publication_tables t"
               " LEFT JOIN LATERAL unnest(t.attnames) WITH ORDINALITY c(name, n) ON true"
               " WHERE t.pubname IN " +
               names + " ORDER BY 1, 2, 3, c.n";
    }
    return "SELECT t.pubname, t.schemaname, t.tablename, false, a.attname"
           " FROM pg_catalog.pg_publication_tables t"
           " JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname"
           " JOIN pg_catalog.pg_class r ON r.relnamespace = n.oid AND r.relname = t.tablename"
           " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0"
           " AND NOT a.attisdropped AND a.attgenerated = ''"
           " WHERE t.pubname IN " +
           names + " ORDER BY 1, 2, 3, a.attnum";
}

/// A table that was taken out and put back has another row in pg_publication_rel; nothing else
/// shows that its changes between are missing.
std::string fingerprint_query(int version, const std::string& names) {
    std::string rows =
        "SELECT 'p' AS kind, p.oid, p.xmin::text AS made FROM pg_catalog.pg_publication p"
        " WHERE p.pubname IN " +
        names +
        " UNION ALL SELECT 'r', r.oid, r.xmin::text FROM pg_catalog.pg_publication_rel r"
        " JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE p.pubname IN " +
        names;
    if (version >= version_15) {
        rows +=
            " UNION ALL SELECT 'n', n.oid, n.xmin::text"
            " FROM pg_catalog.pg_publication_namespace n"
            " JOIN pg_catalog.pg_publication p ON p.oid = n.pnpubid WHERE p.pubname IN " +
            names;
    }
    return "SELECT coalesce(to_hex(hashtextextended("
           "string_agg(kind || oid || ':' || made, ' ' ORDER BY kind, oid), 0)), '') FROM (" +
           rows + ") AS catalog_rows";
}

std::vector<published_table> gather_tables(const row_set& rows) {
    std::vector<published_table> tables;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const bool same = !tables.empty() && tables.back().publication == rows.text(row, 0) &&
                          tables.back().schema == rows.text(row, 1) &&
                          tables.back().name == rows.text(row, 2);
        if (!same) {
            published_table& table = tables.emplace_back();
            table.publication = std::string{rows.text(row, 0)};
            table.schema = std::string{rows.text(row, 1)};
            table.name = std::string{rows.text(row, 2)};
            table.has_row_filter = true_cell(rows, row, 3);
        }
        if (!rows.is_null(row, 4)) tables.back().columns.emplace_back(rows.text(row, 4));
    }
    return tables;
}

}  // namespace

asio::awaitable<sql_result<std::optional<slot_state>>> read_slot(connection& link,
                                                                 std::string slot) {
    std::string sql =
        "SELECT slot_name, plugin, slot_type, database, temporary, active_pid, restart_lsn,"
        " confirmed_flush_lsn, wal_status, greatest(0, pg_catalog.pg_wal_lsn_diff("
        "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
        " ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn))::bigint,"
        " pg_catalog.current_database(), ";
    sql += link.server_version() >= version_17 ? "invalidation_reason" : "NULL";
    sql += " FROM pg_catalog.pg_replication_slots WHERE slot_name = " + quote_literal(slot);
    std::vector<std::optional<std::string>> none;
    auto rows = co_await link.query(std::move(sql), std::move(none));
    if (!rows) co_return named(rows.error(), "read the replication slot at");
    if (rows->size() == 0) co_return std::optional<slot_state>{};
    const auto text = [&](std::size_t column) { return std::string{rows->text(0, column)}; };
    slot_state found;
    found.name = text(0);
    found.plugin = text(1);
    found.slot_type = text(2);
    found.database = text(3);
    found.temporary = true_cell(*rows, 0, 4);
    found.active_pid = integer_cell<int>(*rows, 0, 5);
    found.restart_lsn = lsn_cell(*rows, 0, 6);
    found.confirmed_flush = lsn_cell(*rows, 0, 7);
    found.wal_status = text(8);
    found.retained_bytes = integer_cell<std::uint64_t>(*rows, 0, 9).value_or(0);
    found.current_database = text(10);
    found.invalidation_reason = text(11);
    co_return std::optional<slot_state>{std::move(found)};
}

asio::awaitable<sql_result<publications>> read_publications(connection& link,
                                                            std::vector<std::string> names) {
    const std::string list = literal_list(names);
    std::string sql =
        "SELECT pubname, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot, puballtables"
        " FROM pg_catalog.pg_publication WHERE pubname IN " +
        list + " ORDER BY pubname";
    std::vector<std::optional<std::string>> none;
    const auto found = co_await link.query(std::move(sql), none);
    if (!found) co_return named(found.error(), "read the publications at");
    publications answer;
    for (std::size_t row = 0; row < found->size(); ++row) {
        publication_state& each = answer.found.emplace_back();
        each.name = std::string{found->text(row, 0)};
        each.publishes_insert = true_cell(*found, row, 1);
        each.publishes_update = true_cell(*found, row, 2);
        each.publishes_delete = true_cell(*found, row, 3);
        each.publishes_truncate = true_cell(*found, row, 4);
        each.via_partition_root = true_cell(*found, row, 5);
        each.all_tables = true_cell(*found, row, 6);
    }
    std::string tables_sql = tables_query(link.server_version(), list);
    const auto tables = co_await link.query(std::move(tables_sql), none);
    if (!tables) co_return named(tables.error(), "read the published tables at");
    answer.tables = gather_tables(*tables);

    std::string fingerprint_sql = fingerprint_query(link.server_version(), list);
    const auto fingerprint = co_await link.query(std::move(fingerprint_sql), none);
    if (!fingerprint) co_return named(fingerprint.error(), "read the publications at");
    answer.fingerprint = std::string{fingerprint->text(0, 0)};
    co_return answer;
}

asio::awaitable<sql_result<server_settings>> read_settings(connection& link) {
    // REPLICATION isn't inherited: it is asked of the role that logged in.
    std::string sql =
        "SELECT pg_catalog.current_setting('server_version_num'),"
        " pg_catalog.current_setting('server_version'), pg_catalog.current_setting('wal_level'),"
        " pg_catalog.current_setting('server_encoding'), pg_catalog.pg_is_in_recovery(),"
        " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'),"
        " (SELECT rolsuper OR rolreplication FROM pg_catalog.pg_roles"
        " WHERE rolname = session_user), session_user, pg_catalog.pg_backend_pid()";
    std::vector<std::optional<std::string>> none;
    auto rows = co_await link.query(std::move(sql), std::move(none));
    if (!rows) co_return named(rows.error(), "read the settings of the server at");
    server_settings settings;
    settings.version = integer_cell<int>(*rows, 0, 0).value_or(link.server_version());
    settings.version_text = std::string{rows->text(0, 1)};
    settings.wal_level = std::string{rows->text(0, 2)};
    settings.encoding = std::string{rows->text(0, 3)};
    settings.in_recovery = true_cell(*rows, 0, 4);
    settings.wal_sender_timeout_ms = integer_cell<std::int64_t>(*rows, 0, 5).value_or(0);
    settings.role_may_replicate = true_cell(*rows, 0, 6);
    settings.role = std::string{rows->text(0, 7)};
    settings.server_backend_pid = integer_cell<int>(*rows, 0, 8).value_or(0);
    co_return settings;
}

}  // namespace walrelay::postgres
