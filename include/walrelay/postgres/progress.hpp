// walrelay.progress: one row a slot, written before the acknowledgement that it covers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "walrelay/core/lsn.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

struct progress_row {
    lsn safe;
    std::uint64_t epoch = 0;
    std::string system_identifier;
    std::uint32_t timeline = 0;
    std::optional<std::string> halt;
};

/// What an UPDATE of the record answers, beside having been durable.
struct recorded {
    std::string snapshot;  ///< pg_current_snapshot() of the UPDATE
    lsn insert_lsn;        ///< pg_current_wal_insert_lsn(): our own record's WAL ends about here
};

/// What identifies a server and its history.
struct server_identity {
    std::string system_identifier;
    std::uint32_t timeline = 0;
    std::string postmaster_start_time;

    friend bool operator==(const server_identity&, const server_identity&) = default;
};

/// SQL connections and replication connections both answer it; they must agree.
boost::asio::awaitable<sql_result<server_identity>> read_identity(connection& link);

/// The row of this slot, or nothing. A missing table is error 42P01 with the hint to run sql
/// --apply.
boost::asio::awaitable<sql_result<std::optional<progress_row>>> read_progress(connection& link,
                                                                              std::string slot);

/// After the slot was acquired: makes the row, or draws the next epoch. Gives the epoch, which is
/// greater than all before it, also where the record was deleted (by the server's clock). On
/// another timeline than the record's, safe_lsn falls to the slot's position where it is beyond
/// that; read the record again afterwards. A record of another system identifier is an error, and
/// stays.
boost::asio::awaitable<sql_result<std::uint64_t>> draw_epoch(connection& link, std::string slot,
                                                             server_identity server,
                                                             lsn slot_position);

/// One HOT update WHERE epoch = mine, which never lowers safe_lsn. Nothing when no row was changed:
/// another relay has the slot. `delivered_snapshot` is stored when given; `halt` as it is, so that
/// a relay without one clears it.
boost::asio::awaitable<sql_result<std::optional<recorded>>> record_progress(
    connection& link, std::string slot, std::uint64_t epoch, lsn safe, std::uint32_t timeline,
    std::optional<std::string> delivered_snapshot, std::optional<std::string> halt);

}  // namespace walrelay::postgres
