// What `check` found in a database, as plain values: the input of judge().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "walrelay/core/lsn.hpp"
#include "walrelay/pgoutput/relation.hpp"
#include "walrelay/postgres/catalog.hpp"

namespace walrelay::cli {

/// What the catalogs say of a table that a route names.
struct table_facts {
    std::string schema;
    std::string name;
    bool exists = false;
    bool partitioned = false;
    bool ordinary =
        true;  ///< a plain or partitioned table that is logged: else it can't be published
    /// All of them; a column of a domain has the type that the domain is made of.
    std::vector<pgoutput::column> columns;
    std::vector<std::string> generated;  ///< those that the table computes itself

    [[nodiscard]] std::string qualified_name() const { return schema + "." + name; }
};

/// What the role of this connection may do in schema walrelay.
struct rights_facts {
    bool schema_exists = false;
    bool progress_exists = false;
    bool rotate_exists = false;
    bool may_use_schema = false;
    bool may_use_progress = false;  ///< SELECT, INSERT and UPDATE
    bool may_rotate = false;
    bool may_set_aside = false;  ///< as far as the tables for that are there

    [[nodiscard]] bool complete() const noexcept {
        return may_use_schema && may_use_progress && may_rotate && may_set_aside;
    }
};

/// The row of walrelay.progress for the slot.
struct record_facts {
    lsn safe;
    std::string system_identifier;
    std::int64_t timeline = 0;
    std::string updated_at;
};

struct capacity_facts {
    std::int64_t max_replication_slots = 0;
    std::int64_t used_replication_slots = 0;
    std::int64_t max_wal_senders = 0;
    std::int64_t used_wal_senders = 0;
    std::int64_t max_slot_wal_keep_mb = -1;     ///< -1: unlimited
    std::string idle_replication_slot_timeout;  ///< 18 and later; empty or "0": off
};

/// What else the server knows of the slot, and of those that could take over after a failover.
struct replication_facts {
    std::optional<bool> slot_failover;  ///< 17 and later
    bool slot_two_phase = false;
    bool has_standbys = false;               ///< a physical slot, or somebody who streams WAL
    std::string synchronized_standby_slots;  ///< 17 and later
    std::string synchronous_standby_names;
};

/// A transaction that holds WAL for every slot, because it may still commit.
struct old_transaction {
    std::string who;  ///< "pid 123" or "prepared transaction 'gid'"
    std::string mend;
    std::int64_t age_seconds = 0;
};

struct facts {
    postgres::server_settings settings;
    int backend_pid =
        0;  ///< as libpq was told; differs from settings.server_backend_pid behind a pooler
    std::string system_identifier;
    std::int64_t timeline = 0;
    rights_facts rights;
    std::vector<std::string> missing_objects;  ///< "table walrelay.queue" of this version's schema
    std::optional<record_facts> record;
    std::optional<postgres::slot_state> slot;
    postgres::publications publications;
    std::vector<table_facts> tables;
    capacity_facts capacity;
    replication_facts replication;
    std::vector<old_transaction> old_transactions;  ///< older than five minutes
    bool sees_other_sessions = false;               ///< pg_read_all_stats: else their age is hidden
    /// Why a replication connection could not be made; nothing when it was.
    std::optional<postgres::sql_error> replication_error;
};

}  // namespace walrelay::cli
