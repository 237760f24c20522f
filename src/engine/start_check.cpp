#include "walrelay/engine/start_check.hpp"

#include <string_view>

namespace walrelay::engine {

namespace {

error about_slot(const start_facts& facts, std::string cause, std::string hint) {
    return {"start from", "slot \"" + facts.slot_name + "\"", std::move(cause), std::move(hint)};
}

std::optional<start_refusal> refuse_kind(const start_facts& facts) {
    const slot_facts& slot = *facts.slot;
    const std::string drop =
        "drop it with SELECT pg_drop_replication_slot('" + slot.name +
        "') if nothing uses it, then run walrelay sql --apply; or set source.slot to another name";
    if (slot.slot_type != "logical")
        return start_refusal{2, about_slot(facts, "it is a physical slot", drop)};
    if (slot.plugin != "pgoutput") {
        return start_refusal{
            2, about_slot(facts, "its plugin is " + slot.plugin + ", not pgoutput", drop)};
    }
    if (slot.database != slot.current_database) {
        return start_refusal{
            2, about_slot(facts,
                          "it belongs to database \"" + slot.database +
                              "\", the connection is to \"" + slot.current_database + "\"",
                          "set dbname in source.conninfo, or source.slot to another name")};
    }
    if (slot.temporary)
        return start_refusal{
            2, about_slot(facts, "it is temporary, so it ends with its session", drop)};
    return std::nullopt;
}

}  // namespace

std::optional<start_refusal> refuse_start(const start_facts& facts) {
    if (facts.record && facts.record->system_identifier != facts.system_identifier) {
        return start_refusal{
            3, about_slot(
                   facts,
                   "the progress record is of another cluster (system identifier " +
                       facts.record->system_identifier + ", this server's is " +
                       facts.system_identifier + "): its position " +
                       to_string(facts.record->safe) + " means nothing here",
                   "if this database is a restored dump or a copy that starts afresh: DELETE FROM "
                   "walrelay.progress WHERE slot = '" +
                       facts.slot_name + "'; then run walrelay sql --apply")};
    }
    if (!facts.slot && !facts.record) {
        return start_refusal{
            2, about_slot(facts, "it does not exist",
                          "run walrelay sql -c FILE --apply, which creates publication and slot")};
    }
    if (!facts.slot) {
        return start_refusal{
            3, about_slot(
                   facts,
                   "it is missing, but walrelay.progress records that it was delivered up to " +
                       to_string(facts.record->safe) + ": events after that position may be lost",
                   "find out who dropped it. To start afresh and accept the gap: DELETE FROM "
                   "walrelay.progress WHERE slot = '" +
                       facts.slot_name + "'; then run walrelay sql --apply")};
    }
    if (auto refused = refuse_kind(facts)) return refused;
    if (facts.slot->wal_status == "lost") {
        const std::string reason = facts.slot->invalidation_reason.empty()
                                       ? ""
                                       : " (" + facts.slot->invalidation_reason + ")";
        const lsn from = facts.record ? facts.record->safe : facts.slot->confirmed_flush;
        return start_refusal{
            4, about_slot(
                   facts,
                   "wal_status is lost" + reason + ": the server has removed WAL after " +
                       to_string(from) + " that was not delivered",
                   "raise max_slot_wal_keep_size, then drop the slot and start afresh: what was "
                   "committed after that position must be sent again from the table")};
    }
    if (facts.record && facts.slot->confirmed_flush > facts.record->safe) {
        return start_refusal{
            3, about_slot(facts,
                          "it was recreated or advanced by somebody: it starts at " +
                              to_string(facts.slot->confirmed_flush) +
                              ", but walrelay.progress records delivery only up to " +
                              to_string(facts.record->safe) + ": events in (" +
                              to_string(facts.record->safe) + ", " +
                              to_string(facts.slot->confirmed_flush) + "] may be lost",
                          "to accept the gap: DELETE FROM walrelay.progress WHERE slot = '" +
                              facts.slot_name + "'")};
    }
    return std::nullopt;
}

connection_fault classify(const std::string& sqlstate, const std::string& text) noexcept {
    if (sqlstate.empty()) {
        // libpq gives no code for what fails on its own side; these don't mend themselves.
        for (const char* const permanent :
             {"certificate", "does not support SSL", "no password supplied"}) {
            if (text.find(permanent) != std::string::npos) return connection_fault::configuration;
        }
        return connection_fault::transient;
    }
    if (sqlstate == "55006") return connection_fault::slot_busy;
    const std::string_view code{sqlstate};
    for (const std::string_view permanent : {"28", "3D", "0A", "42", "22"}) {
        if (code.starts_with(permanent)) return connection_fault::configuration;
    }
    return code == "55000" ? connection_fault::configuration : connection_fault::transient;
}

bool server_is_stopping(const std::string& sqlstate) noexcept {
    return sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03";
}

}  // namespace walrelay::engine
