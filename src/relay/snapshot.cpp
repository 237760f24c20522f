// What a running relay shows of itself.
#include <algorithm>

#include "walrelay/core/escape.hpp"
#include "walrelay/relay/relay.hpp"

namespace walrelay::relay {

namespace {

constexpr std::size_t stalls_shown = 10;
constexpr duration moving = std::chrono::seconds{5};

/// How long a sink that works may take for one event: a `rate` may be slow.
duration pace_of(const config::sink& entry) {
    const auto* http = std::get_if<config::http_sink>(&entry.kind);
    if (http == nullptr || http->rate.count == 0) return moving;
    return moving + duration{http->rate.per} / static_cast<std::int64_t>(http->rate.count);
}

double seconds(duration span) {
    return std::chrono::duration<double>(span).count();
}

std::string scope_of(engine::stall_info::scope scope) {
    switch (scope) {
        case engine::stall_info::scope::sink:
            return "sink";
        case engine::stall_info::scope::target:
            return "target";
        case engine::stall_info::scope::lane:
            break;
    }
    return "key";
}

std::string limit_text(engine::full_limit which) {
    switch (which) {
        case engine::full_limit::in_flight_events:
            return "limits.in_flight_events";
        case engine::full_limit::in_flight_bytes:
            return "limits.in_flight_bytes";
        case engine::full_limit::replay_events:
            return "limits.replay_events";
        case engine::full_limit::none:
            break;
    }
    return "";
}

/// The sink or key that keeps a limit full: what has stalled longest, else the sink with most
/// waiting.
std::string holder_of(const admin::snapshot& shown) {
    const admin::sink_figures* busiest = nullptr;
    const admin::stall* worst = nullptr;
    std::string worst_sink;
    for (const admin::sink_figures& sink : shown.sinks) {
        if (busiest == nullptr ||
            sink.waiting + sink.in_flight > busiest->waiting + busiest->in_flight)
            busiest = &sink;
        for (const admin::stall& stall : sink.stalls) {
            if (!stall.holds_limits || (worst != nullptr && worst->seconds >= stall.seconds))
                continue;
            worst = &stall;
            worst_sink = sink.name;
        }
    }
    if (worst != nullptr) {
        std::string text = "sink " + worst_sink;
        if (!worst->name.empty()) text += ", " + worst->scope + " " + worst->name;
        return text + " (" + worst->reason + ")";
    }
    return busiest == nullptr ? "" : "sink " + busiest->name;
}

}  // namespace

admin::snapshot relay::snapshot() const {
    const engine::engine& decisions = desk_.decisions();
    admin::snapshot shown;
    shown.version = WALRELAY_VERSION;
    shown.slot = model_.source.slot;
    shown.state = decisions.halted() && stream_ ? "halted" : state_;
    shown.halt = halt_text_;
    shown.reload_fault = reload_fault_;
    shown.received = decisions.units().received();
    shown.safe = decisions.units().safe();
    shown.recorded = decisions.progress().recorded();
    shown.acked = decisions.acknowledgements().acked();
    shown.server_wal_end = std::max(decisions.acknowledgements().wal_end(), shown.received);
    shown.lag_bytes = shown.server_wal_end.value - std::min(shown.safe, shown.server_wal_end).value;
    if (const std::int64_t oldest = decisions.units().oldest_commit_time_us(); oldest > 0) {
        using namespace std::chrono;
        const auto unix_us =
            duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
        shown.lag_seconds = std::max(0.0, static_cast<double>(unix_us - oldest) / 1e6);
    }
    shown.slot_retained_bytes = slot_retained_bytes_;
    shown.epoch = desk_.epoch();
    shown.in_flight_events = decisions.unresolved_events();
    shown.in_flight_bytes = decisions.unresolved_bytes();
    shown.replay_events = decisions.replay_events();
    shown.reconnects = reconnects_;
    shown.loop_latency_seconds = seconds(loop_latency_);
    shown.discarded = received_.discarded;
    shown.ignored_changes = received_.ignored_changes;
    for (const auto& [table, count] : received_.received)
        shown.tables.push_back({printable(table), count});
    add_sinks(shown);
    shown.parked_without_route = clerk_.counters().back().parked;
    if (decisions.limit_reached() != engine::full_limit::none) {
        const bool record_is_late = decisions.unresolved_events() == 0;
        shown.limit_held_by = limit_text(decisions.limit_reached());
        shown.limit_held_by += " is full: held by ";
        shown.limit_held_by +=
            record_is_late ? "the progress record, which is not written yet" : holder_of(shown);
    }
    add_readiness(shown);
    return shown;
}

void relay::add_sinks(admin::snapshot& shown) const {
    const time_point now = std::chrono::steady_clock::now();
    for (std::size_t index = 0; index < model_.sinks.size(); ++index) {
        const engine::lanes& lanes = desk_.decisions().sink(index);
        const sink_counters& count = desk_.counters()[index];
        admin::sink_figures figures;
        figures.name = model_.sinks[index].name;
        figures.kind = config::kind_of(model_.sinks[index]);
        figures.delivered = count.delivered;
        figures.in_flight = lanes.in_flight();
        figures.waiting = lanes.unresolved() - std::min(lanes.unresolved(), lanes.in_flight());
        figures.retried = {{"transient", count.transient},
                           {"target", count.target},
                           {"endpoint", count.endpoint},
                           {"event", count.event},
                           {"unknown", count.unknown}};
        figures.parked = clerk_.counters()[index].parked;
        figures.held = clerk_.counters()[index].held;
        figures.held_keys = lanes.held_lanes();
        figures.paused = lanes.paused();
        figures.notice = count.notice;
        for (const engine::stall_info& stall : lanes.stalls(stalls_shown)) {
            event_name name;
            if (stall.example != engine::no_delivery) {
                name = desk_.name_of(desk_.decisions().delivery_at(stall.example).event, index);
            }
            figures.stalls.push_back({scope_of(stall.what),
                                      stall.what == engine::stall_info::scope::target
                                          ? name.destination
                                      : stall.what == engine::stall_info::scope::lane ? name.key
                                                                                      : "",
                                      printable(stall.reason), stall.failures,
                                      seconds(now - stall.since), stall.holds_limits});
        }
        shown.sinks.push_back(std::move(figures));
    }
}

void relay::add_readiness(admin::snapshot& shown) const {
    auto& reasons = shown.not_ready_because;
    if (!stream_ || !trouble_.empty()) reasons.push_back(trouble_.empty() ? state_ : trouble_);
    if (!halt_text_.empty()) reasons.push_back(halt_text_);
    if (std::string trouble = recorder_.trouble(); !trouble.empty())
        reasons.push_back(std::move(trouble));
    for (const admin::sink_figures& sink : shown.sinks) {
        if (sink.paused)
            reasons.push_back("sink " + sink.name + " is paused by an operator: walrelay resume " +
                              sink.name);
        for (const admin::stall& stall : sink.stalls) {
            if (stall.scope == "key") continue;
            reasons.push_back("sink " + sink.name + " stalls" +
                              (stall.name.empty() ? "" : ", " + stall.scope + " " + stall.name) +
                              ": " + stall.reason);
        }
    }
    const time_point now = std::chrono::steady_clock::now();
    if (!shown.limit_held_by.empty() && !desk_.moves(now, moving)) {
        reasons.push_back(shown.limit_held_by);
    }
    for (std::size_t index = 0; stream_ && index < shown.sinks.size(); ++index) {
        const admin::sink_figures& sink = shown.sinks[index];
        // What comes from the store waits for its own key alone.
        const bool waits = desk_.decisions().sink(index).from_stream() > 0;
        if (!waits || sink.paused ||
            now - desk_.counters()[index].moved_at <= pace_of(model_.sinks[index]))
            continue;
        std::string reason = sink.notice;
        if (!sink.stalls.empty()) reason = sink.stalls.front().reason;
        if (reason.empty()) reason = "no answer yet";
        reasons.push_back("sink " + sink.name + ": nothing is delivered: " + reason);
    }
    shown.ready = reasons.empty();
}

}  // namespace walrelay::relay
