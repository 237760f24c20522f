#include <string_view>

#include "install_script.hpp"
#include "judge.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

constexpr std::uint64_t much_retained_bytes = 4ULL << 30;

std::string drop_slot_sql(const std::string& slot) {
    return "select pg_drop_replication_slot(" + quote_literal(slot) + ");";
}

void judge_missing_slot(const facts& found, const judged_map& map, const std::string& subject,
                        std::vector<finding>& out) {
    if (!found.record) {
        out.push_back({severity::stops, subject, "does not exist", {apply_command(map)}});
        return;
    }
    const auto& record = *found.record;
    out.push_back({severity::stops,
                   subject,
                   refused_slot_text(map.model.source.slot) + " (exit 3; delivered up to " +
                       to_string(record.safe) + ", recorded " + printable(record.updated_at) + ")",
                   {forget_record_sql(map.model.source.slot), apply_command(map)}});
}

/// False when it is not a slot that could be read at all.
bool judge_kind(const postgres::slot_state& slot, bool two_phase, const judged_map& map,
                const std::string& subject, std::vector<finding>& out) {
    std::string fault;
    if (slot.slot_type != "logical") {
        fault = "is a " + printable(slot.slot_type) + " slot, not a logical one";
    } else if (slot.plugin != "pgoutput") {
        fault = "was made for the plugin " + printable(slot.plugin) + ", not pgoutput";
    } else if (slot.database != slot.current_database) {
        fault = "belongs to database " + printable(slot.database) + ", not " +
                printable(slot.current_database);
    } else if (slot.temporary) {
        fault =
            "is temporary: it goes with the session that made it, and what is committed after that "
            "is lost";
    }
    if (fault.empty() && two_phase) {
        fault =
            "was made with two_phase: its transactions come when they are prepared, before they "
            "are committed";
    }
    if (fault.empty()) return true;
    out.push_back({severity::stops,
                   subject,
                   fault,
                   {"another name in source.slot, then " + apply_command(map)}});
    return false;
}

void judge_record(const facts& found, const std::string& slot, const std::string& subject,
                  std::vector<finding>& out) {
    if (!found.record || !found.slot) return;
    const auto& record = *found.record;
    if (record.system_identifier != found.system_identifier) {
        out.push_back({severity::stops,
                       subject,
                       "the record is of another cluster (system identifier " +
                           printable(record.system_identifier) + ", here " +
                           printable(found.system_identifier) +
                           "): a dump or a copy was loaded (exit 3)",
                       {forget_record_sql(slot)}});
        return;
    }
    // After a failover the slot may rightly be ahead of a record that was still on its way.
    if (found.slot->confirmed_flush > record.safe && record.timeline == found.timeline) {
        out.push_back(
            {severity::stops,
             subject,
             "is ahead of the record: somebody made it anew or advanced it; what was committed "
             "between " +
                 to_string(record.safe) + " and " + to_string(found.slot->confirmed_flush) +
                 " may never have been delivered (exit 3)",
             {forget_record_sql(slot)}});
    }
}

/// What becomes of the slot when a standby takes over.
void judge_failover(const facts& found, const std::string& slot, const std::string& subject,
                    std::vector<finding>& out) {
    const auto& has = found.replication;
    if (!has.has_standbys) return;
    if (!has.slot_failover) {
        out.push_back({severity::info,
                       subject,
                       "is on this server alone: after a failover it is gone (exit 3). PostgreSQL "
                       "17 and later keep slots on standbys",
                       {}});
        return;
    }
    if (!*has.slot_failover) {
        out.push_back({severity::warns,
                       subject,
                       "is not kept on the standbys: after a failover it is gone (exit 3)",
                       {"ALTER_REPLICATION_SLOT " + quote_identifier(slot) +
                        " (FAILOVER true);  -- while no relay runs, on a connection with "
                        "replication=database"}});
        return;
    }
    if (has.synchronized_standby_slots.empty()) {
        out.push_back({severity::info,
                       subject,
                       "synchronized_standby_slots is empty: an event may be delivered before a "
                       "standby has its row, and a failover then takes the row back",
                       {"alter system set synchronized_standby_slots = '<slot of the standby>';  "
                        "-- and a reload"}});
    }
}

void judge_old_transactions(const facts& found, std::vector<finding>& out) {
    for (const auto& one : found.old_transactions) {
        out.push_back(
            {severity::warns,
             "retention",
             printable(one.who) + " has been open for " + std::to_string(one.age_seconds / 60) +
                 " minutes: the server keeps all WAL since it began, and no slot can be made",
             {one.mend}});
    }
    if (!found.sees_other_sessions) {
        out.push_back(
            {severity::info,
             "retention",
             "the age of other roles' transactions is hidden from " +
                 quote_identifier(found.settings.role),
             {"grant pg_read_all_stats to " + quote_identifier(found.settings.role) + ";"}});
    }
}

}  // namespace

void judge_slot(const facts& found, const judged_map& map, std::vector<finding>& out) {
    const auto& name = map.model.source.slot;
    const auto subject = "slot " + printable(name);
    if (!found.slot) {
        judge_missing_slot(found, map, subject, out);
        return;
    }
    const auto& slot = *found.slot;
    if (!judge_kind(slot, found.replication.slot_two_phase, map, subject, out)) return;
    if (slot.wal_status == "lost" || !slot.invalidation_reason.empty()) {
        const auto reason = slot.invalidation_reason.empty() ? std::string{"wal_removed"}
                                                             : printable(slot.invalidation_reason);
        out.push_back({severity::stops,
                       subject,
                       "is lost (" + reason +
                           "): the server has removed WAL that was not delivered, from " +
                           to_string(slot.confirmed_flush) + " on (exit 4)",
                       {drop_slot_sql(name), forget_record_sql(name), apply_command(map)}});
        return;
    }
    const auto before = out.size();
    judge_record(found, name, subject, out);
    judge_failover(found, name, subject, out);
    if (slot.wal_status == "unreserved") {
        out.push_back(
            {severity::warns,
             subject,
             "is about to be lost: it holds more than max_slot_wal_keep_size, and the next "
             "checkpoint removes it",
             {"run the relay now, or raise max_slot_wal_keep_size"}});
    }
    if (slot.active_pid) {
        out.push_back({severity::info,
                       subject,
                       "is being read by pid " + std::to_string(*slot.active_pid) +
                           ": another relay would wait for it",
                       {}});
    } else if (out.size() == before) {
        out.push_back({severity::ok, subject, "waits at " + to_string(slot.confirmed_flush), {}});
    }
}

void judge_retention(const facts& found, const judged_map&, std::vector<finding>& out) {
    const auto keep_mb = found.capacity.max_slot_wal_keep_mb;
    if (found.slot && found.slot->wal_status != "lost") {
        const auto retained = found.slot->retained_bytes;
        const auto half_of_limit =
            keep_mb < 0 ? retained : (static_cast<std::uint64_t>(keep_mb) << 20) / 2;
        const bool near_limit = keep_mb >= 0 && retained > half_of_limit;
        if (retained > much_retained_bytes || near_limit) {
            out.push_back({severity::warns,
                           "retention",
                           "the slot holds " + readable_bytes(retained) + " of WAL" +
                               (near_limit ? ", more than half of max_slot_wal_keep_size" : ""),
                           {"run the relay; walrelay status tells what it waits for"}});
        }
    }
    if (keep_mb < 0) {
        out.push_back(
            {severity::info,
             "max_slot_wal_keep_size",
             "is unlimited: while the relay is away WAL grows until the disk is full",
             {"alter system set max_slot_wal_keep_size = '50GB';  -- a part of the disk that "
              "can be spared; beyond it the slot is lost"}});
    }
    const auto& idle = found.capacity.idle_replication_slot_timeout;
    if (!idle.empty() && idle != "0") {
        out.push_back(
            {severity::warns,
             "idle_replication_slot_timeout",
             "is " + printable(idle) +
                 ": a relay that is stopped for longer loses its slot, and what was committed "
                 "meanwhile",
             {"alter system set idle_replication_slot_timeout = 0;  -- and a reload"}});
    }
    judge_old_transactions(found, out);
}

std::vector<finding> judge(const facts& found, const judged_map& map) {
    std::vector<finding> out;
    judge_server(found, map, out);
    judge_rights(found, map, out);
    judge_publications(found, map, out);
    judge_tables(found, map, out);
    judge_slot(found, map, out);
    judge_retention(found, map, out);
    return out;
}

}  // namespace walrelay::cli
