#include "status_sentence.hpp"

#include <algorithm>
#include <cmath>

#include "judge.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

/// Less is what any relay has before it in a busy moment.
constexpr std::uint64_t much_undelivered_bytes = 16ULL << 20;
/// restart_lsn moves in steps, with the checkpoints and every 15 s of the server.
constexpr std::uint64_t much_kept_bytes = 64ULL << 20;
constexpr std::size_t longest_text = 300;

std::string text_of(const admin::stall& stall, const admin::sink_figures& sink) {
    std::string out = "sink " + printable(sink.name);
    if (stall.scope == "sink" || stall.name.empty()) {
        out += ", which stalls";
    } else {
        const auto target = sink.kind == "http" ? "URL" : "topic";
        out += ": " + (stall.scope == "target" ? target : printable(stall.scope)) + " " +
               printable(stall.name, 100) + " stalls";
    }
    return out + " for " + readable_seconds(stall.seconds) + " (" +
           printable(stall.reason, longest_text) + ")";
}

/// Which stall has lasted longest, with its sink; empty without one.
std::string longest_stall(const admin::snapshot& relay) {
    const admin::stall* worst = nullptr;
    const admin::sink_figures* where = nullptr;
    for (const auto& sink : relay.sinks) {
        for (const auto& stall : sink.stalls) {
            if (worst != nullptr && worst->seconds >= stall.seconds) continue;
            worst = &stall;
            where = &sink;
        }
    }
    return worst == nullptr ? std::string{} : text_of(*worst, *where);
}

std::string trouble_of_relay(const admin::snapshot& relay) {
    if (!relay.halt.empty()) return "the halt: " + printable(relay.halt, 600);
    if (auto stall = longest_stall(relay); !stall.empty()) return stall;
    if (!relay.not_ready_because.empty())
        return "the relay, which is not ready: " +
               printable(relay.not_ready_because.front(), longest_text);
    if (!relay.limit_held_by.empty() && relay.lag_bytes > much_undelivered_bytes)
        return "a backlog: " + printable(relay.limit_held_by, longest_text);
    if (relay.lag_bytes > much_undelivered_bytes)
        return "a backlog: the relay has " + readable_bytes(relay.lag_bytes) + " to deliver";
    return {};
}

std::string trouble_without_relay(const status_facts& found) {
    const auto& slot = *found.database.slot;
    if (slot.active_pid) {
        const auto behind = undelivered_bytes(found.database);
        if (behind <= much_undelivered_bytes) return {};
        return "the reader with pid " + std::to_string(*slot.active_pid) + ", which has " +
               readable_bytes(behind) + " to deliver; no relay answers at admin.listen to say why";
    }
    std::string out = "nobody reading the slot";
    if (found.database.unread_seconds) {
        out += " for " + readable_seconds(static_cast<double>(*found.database.unread_seconds));
    } else if (found.database.record) {
        out += "; the last record is " +
               readable_seconds(static_cast<double>(found.database.record_age_seconds)) + " old";
    }
    out += ": start the relay";
    if (found.database.record && found.database.record->halt)
        out += ", which had halted (" + printable(*found.database.record->halt, longest_text) + ")";
    return out;
}

std::string text_of(const open_transaction& open) {
    std::string since;
    if (open.seconds) since = " since " + readable_seconds(static_cast<double>(*open.seconds));
    if (!open.gid.empty()) {
        const auto gid = printable(quote_literal(open.gid));
        return "a prepared transaction " + gid + since + ": COMMIT PREPARED " + gid +
               " or ROLLBACK PREPARED " + gid + ", in database " + printable(open.database) +
               ", ends it";
    }
    std::string who = "the transaction of pid " + std::to_string(open.pid);
    if (!open.application.empty()) who += " (" + printable(open.application, 64) + ")";
    return who + since + ": SELECT pg_terminate_backend(" + std::to_string(open.pid) +
           ") if it can't be ended otherwise";
}

std::uint64_t distance(lsn later, lsn earlier) noexcept {
    return later.value > earlier.value ? later.value - earlier.value : 0;
}

}  // namespace

std::uint64_t undelivered_bytes(const database_facts& found) {
    if (!found.slot) return 0;
    const auto safe = found.record ? found.record->safe : lsn{};
    return distance(found.wal_end, std::max(found.slot->confirmed_flush, safe));
}

std::string readable_seconds(double seconds) {
    const auto whole = static_cast<std::int64_t>(std::max(0.0, std::floor(seconds)));
    if (whole < 60) return std::to_string(whole) + " s";
    if (whole < 60 * 60) return std::to_string(whole / 60) + " min";
    if (whole < 48 * 60 * 60) return std::to_string(whole / 3600) + " h";
    return std::to_string(whole / 86400) + " days";
}

std::string what_holds_wal(const status_facts& found) {
    const auto& database = found.database;
    if (database.fault) {
        const auto trouble = found.relay ? trouble_of_relay(*found.relay) : std::string{};
        const bool answered = !database.fault->sqlstate.empty();
        return "what holds WAL is not known, because the database " +
               std::string{answered ? "refused the question" : "does not answer"} +
               (trouble.empty() ? "" : "; the relay tells of " + trouble);
    }
    const auto help = ": walrelay check -c " + found.file + " tells the way on";
    if (!database.slot) return "no WAL is held: the slot does not exist" + help;
    const auto& slot = *database.slot;
    if (slot.wal_status == "lost" || !slot.invalidation_reason.empty()) {
        return "no WAL is held any more: the slot is lost" +
               (slot.invalidation_reason.empty()
                    ? ""
                    : " (" + printable(slot.invalidation_reason) + ")") +
               help;
    }
    const auto kept = "the slot keeps " + readable_bytes(slot.retained_bytes);
    const auto trouble =
        found.relay ? trouble_of_relay(*found.relay) : trouble_without_relay(found);
    // What is confirmed and still kept is kept for open transactions, the rest for the delivery.
    const bool more_for_transactions = distance(slot.confirmed_flush, slot.restart_lsn) >=
                                       distance(database.wal_end, slot.confirmed_flush);
    if (database.oldest && (trouble.empty() || more_for_transactions))
        return "WAL is held by " + text_of(*database.oldest) + "; " + kept;
    if (!trouble.empty()) return "WAL is held by " + trouble + "; " + kept;
    if (slot.retained_bytes > much_kept_bytes)
        return "nothing holds WAL back: " + kept +
               ", most of it delivered, and the server lets go with its next checkpoints";
    return "nothing holds WAL back: " + kept;
}

}  // namespace walrelay::cli
