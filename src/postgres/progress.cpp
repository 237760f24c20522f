#include "walrelay/postgres/progress.hpp"

#include <utility>
#include <vector>

#include "cells.hpp"
#include "failure.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::postgres {

namespace asio = boost::asio;

namespace {

using parameters = std::vector<std::optional<std::string>>;

/// Names what was tried, in place of "query" and the host.
sql_error named(sql_error failure, const char* operation, const std::string& slot) {
    failure.what.cause = failure.what.object + ": " + failure.what.cause;
    failure.what.operation = operation;
    failure.what.object = "slot \"" + printable(slot) + "\"";
    return failure;
}

sql_error unexpected(const char* operation, const std::string& slot, std::string cause) {
    sql_error failure;
    failure.what.operation = operation;
    failure.what.object = "slot \"" + printable(slot) + "\"";
    failure.what.cause = std::move(cause);
    return failure;
}

}  // namespace

asio::awaitable<sql_result<server_identity>> read_identity(connection& link) {
    // The timeline that is written now; pg_control_checkpoint() lags behind a promotion.
    std::string sql =
        "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
        " CASE WHEN pg_catalog.pg_is_in_recovery()"
        " THEN (SELECT timeline_id::text FROM pg_catalog.pg_control_checkpoint())"
        " ELSE substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,"
        " pg_catalog.pg_is_in_recovery(), pg_catalog.pg_postmaster_start_time()::text";
    parameters none;
    auto rows = co_await link.query(std::move(sql), std::move(none));
    if (!rows) {
        sql_error failure = rows.error();
        failure.what.operation = "read the identity of the server at";
        co_return failure;
    }
    server_identity identity;
    identity.system_identifier = std::string{rows->text(0, 0)};
    const int base = rows->text(0, 2) == "t" ? 10 : 16;
    identity.timeline = integer_cell<std::uint32_t>(*rows, 0, 1, base).value_or(0);
    identity.postmaster_start_time = std::string{rows->text(0, 3)};
    co_return identity;
}

asio::awaitable<sql_result<std::optional<progress_row>>> read_progress(connection& link,
                                                                       std::string slot) {
    std::string sql =
        "SELECT safe_lsn, epoch, system_identifier, timeline, halt FROM walrelay.progress"
        " WHERE slot = $1";
    parameters values{slot};
    auto rows = co_await link.query(std::move(sql), std::move(values));
    if (!rows) co_return named(rows.error(), "read the progress record of", slot);
    if (rows->size() == 0) co_return std::optional<progress_row>{};
    const auto safe = parse_lsn(rows->text(0, 0));
    const auto epoch = integer_cell<std::uint64_t>(*rows, 0, 1);
    if (!safe || !epoch) {
        co_return unexpected("read the progress record of", slot, "it isn't of the known form");
    }
    progress_row record;
    record.safe = *safe;
    record.epoch = *epoch;
    record.system_identifier = std::string{rows->text(0, 2)};
    record.timeline = integer_cell<std::uint32_t>(*rows, 0, 3).value_or(0);
    if (!rows->is_null(0, 4)) record.halt = std::string{rows->text(0, 4)};
    co_return std::optional<progress_row>{std::move(record)};
}

asio::awaitable<sql_result<std::uint64_t>> draw_epoch(connection& link, std::string slot,
                                                      server_identity server, lsn slot_position) {
    // Positions of another timeline may lie beyond what this server has: a record that stayed there
    // would cover, and so acknowledge, rows of this timeline that nobody has seen. A slot ahead of
    // the record changes nothing: what lies between is for repair.
    // The first epoch is the time in microseconds. The record may have been deleted, to accept a
    // gap, and no epoch may come again: consumers fence by it, and so does what is set aside.
    std::string sql =
        "INSERT INTO walrelay.progress AS p"
        " (slot, safe_lsn, epoch, system_identifier, timeline, updated_at, relay_version)"
        " VALUES ($1, $2::pg_lsn,"
        " (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint,"
        " $3::bigint, $4::integer, pg_catalog.clock_timestamp(), $5)"
        " ON CONFLICT (slot) DO UPDATE SET epoch = p.epoch + 1,"
        " safe_lsn = CASE WHEN p.timeline = excluded.timeline THEN p.safe_lsn"
        " WHEN p.safe_lsn < excluded.safe_lsn THEN p.safe_lsn ELSE excluded.safe_lsn END,"
        " timeline = excluded.timeline, updated_at = excluded.updated_at,"
        " relay_version = excluded.relay_version"
        " WHERE p.system_identifier = excluded.system_identifier RETURNING p.epoch";
    parameters values{slot, to_string(slot_position), server.system_identifier,
                      std::to_string(server.timeline), WALRELAY_VERSION};
    auto rows = co_await link.query(std::move(sql), std::move(values));
    if (!rows) co_return named(rows.error(), "draw the epoch of", slot);
    if (rows->size() == 0) {
        co_return unexpected("draw the epoch of", slot,
                             "the progress record was made on another server");
    }
    const auto epoch = integer_cell<std::uint64_t>(*rows, 0, 0);
    if (!epoch) co_return unexpected("draw the epoch of", slot, "it isn't of the known form");
    co_return *epoch;
}

asio::awaitable<sql_result<std::optional<recorded>>> record_progress(
    connection& link, std::string slot, std::uint64_t epoch, lsn safe, std::uint32_t timeline,
    std::optional<std::string> delivered_snapshot, std::optional<std::string> halt) {
    // No indexed column changes and the pages are nearly empty: a HOT update.
    std::string sql =
        "UPDATE walrelay.progress SET safe_lsn = greatest(safe_lsn, $3::pg_lsn),"
        " timeline = $4::integer,"
        " delivered_snapshot = coalesce($5::pg_snapshot, delivered_snapshot), halt = $6,"
        " updated_at = pg_catalog.clock_timestamp() WHERE slot = $1 AND epoch = $2::bigint"
        " RETURNING pg_catalog.pg_current_snapshot()::text,"
        " pg_catalog.pg_current_wal_insert_lsn()::text";
    parameters values{slot,
                      std::to_string(epoch),
                      to_string(safe),
                      std::to_string(timeline),
                      std::move(delivered_snapshot),
                      std::move(halt)};
    auto rows = co_await link.query(std::move(sql), std::move(values));
    if (!rows) co_return named(rows.error(), "record the progress of", slot);
    if (rows->size() == 0) co_return std::optional<recorded>{};
    const auto insert_lsn = parse_lsn(rows->text(0, 1));
    if (!insert_lsn) {
        co_return unexpected("record the progress of", slot, "the answer isn't of the known form");
    }
    co_return std::optional<recorded>{recorded{std::string{rows->text(0, 0)}, *insert_lsn}};
}

}  // namespace walrelay::postgres
