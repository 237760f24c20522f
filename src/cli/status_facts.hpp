// What `status` found in the database and at a running relay, as plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parked_facts.hpp"
#include "walrelay/admin/snapshot.hpp"
#include "walrelay/core/lsn.hpp"
#include "walrelay/postgres/catalog.hpp"
#include "walrelay/postgres/connection.hpp"
#include "walrelay/postgres/progress.hpp"

namespace walrelay::cli {

/// An open transaction that is as old as the oldest that the slot must still be able to decode.
struct open_transaction {
    std::string gid;  ///< of a prepared one; else empty
    std::string database;
    int pid = 0;
    std::string application;
    std::optional<std::int64_t> seconds;  ///< hidden from roles without pg_read_all_stats
};

struct database_facts {
    std::optional<postgres::sql_error> fault;  ///< then the rest is empty
    std::string where;                         ///< "host … port …"
    lsn wal_end;
    std::optional<postgres::slot_state> slot;
    std::optional<std::int64_t>
        unread_seconds;  ///< since the slot's last reader left; 17 and later
    std::optional<postgres::progress_row> record;
    std::int64_t record_age_seconds = 0;
    std::optional<open_transaction> oldest;
    std::vector<parked_count> aside;  ///< what waits in walrelay.parked
    std::vector<std::string> paused;  ///< sinks that an operator has paused
};

struct status_facts {
    std::string file;  ///< the sink map's path, for commands in texts
    std::string slot;
    std::string listen;
    std::optional<admin::snapshot> relay;  ///< as far as GET /status tells
    database_facts database;
};

}  // namespace walrelay::cli
