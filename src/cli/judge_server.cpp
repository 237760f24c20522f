#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

#include "install_script.hpp"
#include "judge.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

constexpr int oldest_version = 140000;
constexpr int newest_tried_version = 190000;  // the first that is not
constexpr std::int64_t short_timeout_ms = 3000;

const char* const no_pooler =
    "source.conninfo: host and port of Postgres itself, not of PgBouncer or another pooler";

void judge_version(const postgres::server_settings& server, std::vector<finding>& out) {
    const auto text = "PostgreSQL " + printable(server.version_text);
    if (server.version < oldest_version) {
        out.push_back(
            {severity::stops, "server", text + " is too old", {"PostgreSQL 14 or later"}});
    } else if (server.version >= newest_tried_version) {
        out.push_back({severity::info,
                       "server",
                       text + " is newer than what walrelay was tried with (14 to 18)",
                       {}});
    } else {
        out.push_back({severity::ok, "server", text, {}});
    }
}

void judge_replication(const facts& found, std::vector<finding>& out) {
    const auto role = quote_identifier(found.settings.role);
    if (found.replication_error) {
        const auto& failure = *found.replication_error;
        finding one{severity::stops, "replication", failure.what.text(), {}};
        one.text = "a replication connection can't be made: " + printable(failure.what.cause, 400);
        if (!found.settings.role_may_replicate) {
            one.mends.push_back("alter role " + role + " replication;");
        } else if (!failure.what.hint.empty()) {
            one.mends.push_back(failure.what.hint);
        }
        out.push_back(std::move(one));
        return;
    }
    // Some managed services let a role replicate without the attribute: what counts is that it
    // works.
    out.push_back({severity::ok, "replication", "role " + role + " may replicate", {}});
}

/// The names in a setting like "first 2 (a, \"b c\")" or "*", without quotes.
std::vector<std::string> standby_names(const std::string& setting) {
    std::vector<std::string> names;
    std::string name;
    bool quoted = false;
    for (const char c : setting + ",") {
        if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == ',' || c == '(' || c == ')' || c == ' ')) {
            if (!name.empty()) names.push_back(std::exchange(name, {}));
        } else {
            name += c;
        }
    }
    return names;
}

/// A walsender that streams to the relay counts as a standby under its application_name.
void judge_synchronous(const facts& found, const judged_map& map, std::vector<finding>& out) {
    const auto names = standby_names(found.replication.synchronous_standby_names);
    const auto ours = "walrelay " + map.model.source.slot;
    const auto counted = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
        return name == "*" || name == ours;
    });
    if (counted == names.end()) return;
    out.push_back({severity::warns,
                   "synchronous_standby_names",
                   "'" + printable(*counted) +
                       "' takes the relay for a synchronous standby: commits wait until their "
                       "rows are delivered",
                   {"alter system set synchronous_standby_names = '<the names of the standbys>';  "
                    "-- and a reload"}});
}

std::string listed(const std::vector<std::string>& objects) {
    constexpr std::size_t shown = 5;
    std::string out;
    for (std::size_t i = 0; i < std::min(shown, objects.size()); ++i)
        out += (i == 0 ? "" : ", ") + printable(objects[i]);
    if (objects.size() > shown) out += " and " + std::to_string(objects.size() - shown) + " more";
    return out;
}

void judge_capacity(const facts& found, std::vector<finding>& out) {
    const auto& has = found.capacity;
    if (!found.slot && has.used_replication_slots >= has.max_replication_slots) {
        out.push_back(
            {severity::stops,
             "max_replication_slots",
             "all " + std::to_string(has.max_replication_slots) +
                 " are in use: the relay's slot can't be made",
             {"select pg_drop_replication_slot('<one that nobody needs>');",
              "alter system set max_replication_slots = " +
                  std::to_string(has.max_replication_slots + 5) + ";  -- and a restart"}});
    }
    const bool streams = found.slot && found.slot->active_pid;
    if (!streams && has.used_wal_senders >= has.max_wal_senders) {
        out.push_back({severity::stops,
                       "max_wal_senders",
                       "all " + std::to_string(has.max_wal_senders) + " are in use",
                       {"alter system set max_wal_senders = " +
                        std::to_string(has.max_wal_senders + 5) + ";  -- and a restart"}});
    }
}

}  // namespace

std::string readable_bytes(std::uint64_t bytes) {
    constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
    auto amount = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (amount >= 1024 && unit + 1 < units.size()) {
        amount /= 1024;
        ++unit;
    }
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
    return text.data();
}

std::string apply_command(const judged_map& map) {
    return "walrelay sql -c " + map.file + " --apply   (as the owner: --conninfo ...)";
}

finding judge_connection(const postgres::sql_error& failure) {
    error what = failure.what;
    finding one{severity::stops, "connection", {}, {}};
    if (!what.hint.empty()) one.mends.push_back(printable(std::exchange(what.hint, {}), 300));
    one.text = printable(what.text(), 600);
    if (failure.what.cause.find("unsupported startup parameter") != std::string::npos) {
        one.text = "this is a pooler such as PgBouncer: " + printable(failure.what.cause, 400);
        one.mends = {no_pooler};
    } else if (one.mends.empty()) {
        one.mends.emplace_back("source.conninfo: a database that answers this host");
    }
    return one;
}

void judge_server(const facts& found, const judged_map& map, std::vector<finding>& out) {
    const auto& server = found.settings;
    judge_version(server, out);
    if (found.backend_pid != server.server_backend_pid) {
        out.push_back(
            {severity::stops,
             "pooler",
             "something between here and Postgres shares connections (PgBouncer?): replication "
             "and session settings don't pass through it",
             {no_pooler}});
    }
    if (server.in_recovery) {
        out.push_back(
            {severity::stops,
             "server",
             "is a standby: the relay has to write its record",
             {"source.conninfo: the primary; with several hosts target_session_attrs=read-write"}});
    }
    if (server.wal_level != "logical") {
        out.push_back({severity::stops,
                       "wal_level",
                       "is " + printable(server.wal_level),
                       {"alter system set wal_level = logical;  -- and a restart of the server"}});
    } else {
        out.push_back({severity::ok, "wal_level", "logical", {}});
    }
    if (server.encoding == "SQL_ASCII") {
        out.push_back(
            {severity::warns,
             "encoding",
             "the database is SQL_ASCII: a row that is not UTF-8 can't be decoded, and nothing "
             "after it is",
             {"a database with encoding UTF8"}});
    }
    if (server.wal_sender_timeout_ms > 0 && server.wal_sender_timeout_ms < short_timeout_ms) {
        out.push_back({severity::warns,
                       "wal_sender_timeout",
                       std::to_string(server.wal_sender_timeout_ms) +
                           " ms is short: a busy moment cuts the stream",
                       {"alter system set wal_sender_timeout = '60s';  -- and a reload"}});
    }
    judge_replication(found, out);
    judge_synchronous(found, map, out);
    judge_capacity(found, out);
}

void judge_rights(const facts& found, const judged_map& map, std::vector<finding>& out) {
    if (!needs_schema(map.model)) return;
    const auto& may = found.rights;
    if (!may.schema_exists) {
        out.push_back(
            {severity::stops, "schema", "schema walrelay is not installed", {apply_command(map)}});
        return;
    }
    if (map.model.source.progress && (!may.progress_exists || !may.rotate_exists)) {
        out.push_back({severity::stops,
                       "schema",
                       "schema walrelay is incomplete or of an older version: it lacks " +
                           listed(found.missing_objects),
                       {apply_command(map)}});
        return;
    }
    if (!found.missing_objects.empty()) {
        out.push_back(
            {severity::warns,
             "schema",
             "schema walrelay is of an older version: it lacks " + listed(found.missing_objects),
             {apply_command(map)}});
    }
    if (!map.model.source.progress) return;
    if (!may.complete()) {
        const auto role = quote_identifier(found.settings.role);
        out.push_back({severity::stops,
                       "rights",
                       "role " + role + " lacks the rights of walrelay_relay",
                       {"grant walrelay_relay to " + role + ";"}});
        return;
    }
    out.push_back({severity::ok, "schema", "schema walrelay is installed, and may be used", {}});
}

}  // namespace walrelay::cli
