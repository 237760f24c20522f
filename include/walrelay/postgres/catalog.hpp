// What the server's catalogs say of slot, publication and tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "walrelay/core/lsn.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

/// A row of pg_replication_slots.
struct slot_state {
    std::string name;
    std::string plugin;     ///< empty for a physical slot
    std::string slot_type;  ///< logical or physical
    std::string database;
    bool temporary = false;
    std::optional<int> active_pid;
    lsn restart_lsn;
    lsn confirmed_flush;
    std::string wal_status;            ///< reserved, extended, unreserved, lost
    std::string invalidation_reason;   ///< 17 and later; else empty
    std::uint64_t retained_bytes = 0;  ///< pg_current_wal_lsn() - restart_lsn
    std::string current_database;      ///< of this connection
};

boost::asio::awaitable<sql_result<std::optional<slot_state>>> read_slot(connection& link,
                                                                        std::string slot);

struct publication_state {
    std::string name;
    bool publishes_insert = false;
    bool publishes_update = false;
    bool publishes_delete = false;
    bool publishes_truncate = false;
    bool via_partition_root = false;
    bool all_tables = false;
};

struct published_table {
    std::string publication;
    std::string schema;
    std::string name;
    bool has_row_filter = false;       ///< 15 and later
    std::vector<std::string> columns;  ///< published columns, in order
};

struct publications {
    std::vector<publication_state> found;
    std::vector<published_table> tables;
    std::string fingerprint;  ///< oid and xmin of the catalog rows: changes when a table was taken
                              ///< out and put back
};

boost::asio::awaitable<sql_result<publications>> read_publications(connection& link,
                                                                   std::vector<std::string> names);

struct server_settings {
    int version = 0;  ///< server_version_num
    std::string version_text;
    std::string wal_level;
    std::string encoding;
    bool in_recovery = false;
    std::int64_t wal_sender_timeout_ms = 0;  ///< 0: off
    bool role_may_replicate = false;         ///< superuser or REPLICATION
    std::string role;
    int server_backend_pid = 0;  ///< pg_backend_pid(): differs from ours behind a pooler
};

boost::asio::awaitable<sql_result<server_settings>> read_settings(connection& link);

}  // namespace walrelay::postgres
