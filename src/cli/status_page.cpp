#include "status_page.hpp"

#include <array>
#include <cstdio>

#include "judge.hpp"
#include "parked_page.hpp"
#include "status_sentence.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

void add(std::string& out, const std::string& label, const std::string& text) {
    constexpr std::size_t width = 12;
    out += label;
    out.append(width > label.size() ? width - label.size() : 1, ' ');
    out += text + "\n";
}

std::string count(std::uint64_t number, const char* what) {
    return std::to_string(number) + " " + what;
}

std::string short_seconds(double seconds) {
    if (seconds >= 60) return readable_seconds(seconds);
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f s", seconds);
    return text.data();
}

void add_sink(std::string& out, const admin::sink_figures& sink) {
    std::uint64_t again = 0;
    for (const auto& [what, number] : sink.retried)
        again += number;
    add(out, "sink",
        printable(sink.name) + " (" + printable(sink.kind) +
            "): " + count(sink.delivered, "delivered, ") + count(sink.in_flight, "on the wire, ") +
            count(sink.waiting, "waiting") +
            (again > 0 ? ", " + count(again, "failed attempts") : ""));
    for (const auto& stall : sink.stalls) {
        add(out, "",
            "stalled: " + printable(stall.scope) +
                (stall.name.empty() ? "" : " " + printable(stall.name, 100)) + " for " +
                readable_seconds(stall.seconds) + ": " + printable(stall.reason, 300));
    }
    if (sink.stalls.empty() && !sink.notice.empty()) add(out, "", printable(sink.notice, 300));
}

void add_relay(std::string& out, const admin::snapshot& relay) {
    add(out, "relay",
        printable(relay.state) + ", " + (relay.ready ? "ready" : "not ready") + " (walrelay " +
            printable(relay.version) + ", epoch " + std::to_string(relay.epoch) + ")");
    for (const auto& reason : relay.not_ready_because)
        add(out, "", printable(reason, 400));
    add(out, "lag",
        readable_bytes(relay.lag_bytes) + ", " + short_seconds(relay.lag_seconds) + "; " +
            count(relay.in_flight_events, "events") + " (" + readable_bytes(relay.in_flight_bytes) +
            ") in memory");
    add(out, "positions",
        "received " + to_string(relay.received) + ", delivered " + to_string(relay.safe) +
            ", recorded " + to_string(relay.recorded) + ", acknowledged " + to_string(relay.acked) +
            ", server " + to_string(relay.server_wal_end));
    if (!relay.limit_held_by.empty()) add(out, "limit", printable(relay.limit_held_by, 400));
    for (const auto& sink : relay.sinks)
        add_sink(out, sink);
    if (!relay.halt.empty()) add(out, "halt", printable(relay.halt, 600));
    if (!relay.reload_fault.empty())
        add(out, "reload", "refused: " + printable(relay.reload_fault, 600));
}

void add_database(std::string& out, const status_facts& found) {
    const auto& database = found.database;
    if (database.fault) {
        add(out, "database", printable(database.fault->what.text(), 600));
        return;
    }
    add(out, "database", printable(database.where));
    const auto name = printable(found.slot);
    if (!database.slot) {
        add(out, "slot", name + " does not exist");
    } else {
        const auto& slot = *database.slot;
        add(out, "slot",
            name + ", " +
                (slot.active_pid ? "read by pid " + std::to_string(*slot.active_pid)
                                 : std::string{"not in use"}) +
                ", confirmed " + to_string(slot.confirmed_flush) + ", keeps " +
                readable_bytes(slot.retained_bytes) + " of WAL (" + printable(slot.wal_status) +
                ")");
    }
    if (database.record) {
        add(out, "record",
            "delivered up to " + to_string(database.record->safe) + ", epoch " +
                std::to_string(database.record->epoch) + ", written " +
                readable_seconds(static_cast<double>(database.record_age_seconds)) + " ago");
        if (database.record->halt && !found.relay)
            add(out, "halt", printable(*database.record->halt, 600));
    }
    if (!found.relay && database.slot) {
        std::string lag = readable_bytes(undelivered_bytes(database));
        if (database.record)
            lag +=
                ", at most " + readable_seconds(static_cast<double>(database.record_age_seconds));
        add(out, "lag", lag);
    }
}

void add_aside(std::string& out, const status_facts& found) {
    bool parked = false;
    for (const parked_count& one : found.database.aside) {
        add(out, "aside", count_text(one));
        parked = parked || one.state == "parked";
    }
    if (parked) {
        add(out, "",
            "walrelay parked list -c " + printable(found.file) +
                " shows them; parked redrive sends them again, parked drop gives them up");
    }
    for (const std::string& sink : found.database.paused) {
        add(out, "paused",
            "sink " + printable(sink) + ": walrelay resume " + printable(sink) + " -c " +
                printable(found.file));
    }
}

}  // namespace

std::string status_page(const status_facts& found) {
    std::string out;
    if (found.relay) {
        add_relay(out, *found.relay);
    } else {
        add(out, "relay",
            found.listen.empty()
                ? "has no admin.listen to ask at"
                : "none answers at admin.listen (" + printable(found.listen) + ")");
    }
    add_database(out, found);
    add_aside(out, found);
    add(out, "wal", what_holds_wal(found));
    return out;
}

}  // namespace walrelay::cli
