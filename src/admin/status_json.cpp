#include <nlohmann/json.hpp>

#include "walrelay/admin/server.hpp"

namespace walrelay::admin {

namespace {

using json = nlohmann::ordered_json;

json of_sink(const sink_figures& sink) {
    json stalls = json::array();
    for (const stall& one : sink.stalls) {
        stalls.push_back({{"scope", one.scope},
                          {"name", one.name},
                          {"reason", one.reason},
                          {"attempts", one.attempts},
                          {"seconds", one.seconds}});
    }
    json retried = json::object();
    for (const auto& [what, count] : sink.retried)
        retried[what] = count;
    return {
        {"name", sink.name},           {"kind", sink.kind},       {"delivered", sink.delivered},
        {"in_flight", sink.in_flight}, {"waiting", sink.waiting}, {"retried", std::move(retried)},
        {"parked", sink.parked},       {"held", sink.held},       {"held_keys", sink.held_keys},
        {"paused", sink.paused},       {"notice", sink.notice},   {"stalls", std::move(stalls)}};
}

}  // namespace

std::string to_json(const snapshot& state) {
    json tables = json::array();
    for (const table_figures& table : state.tables) {
        tables.push_back({{"table", table.table}, {"received", table.received}});
    }
    json sinks = json::array();
    for (const sink_figures& sink : state.sinks)
        sinks.push_back(of_sink(sink));
    const json body = {{"version", state.version},
                       {"slot", state.slot},
                       {"state", state.state},
                       {"ready", state.ready},
                       {"not_ready_because", state.not_ready_because},
                       {"halt", state.halt},
                       {"reload_fault", state.reload_fault},
                       {"received", to_string(state.received)},
                       {"safe", to_string(state.safe)},
                       {"recorded", to_string(state.recorded)},
                       {"acked", to_string(state.acked)},
                       {"server_wal_end", to_string(state.server_wal_end)},
                       {"lag_bytes", state.lag_bytes},
                       {"lag_seconds", state.lag_seconds},
                       {"slot_retained_bytes", state.slot_retained_bytes},
                       {"epoch", state.epoch},
                       {"in_flight_events", state.in_flight_events},
                       {"in_flight_bytes", state.in_flight_bytes},
                       {"replay_events", state.replay_events},
                       {"limit_held_by", state.limit_held_by},
                       {"reconnects", state.reconnects},
                       {"loop_latency_seconds", state.loop_latency_seconds},
                       {"parked_without_route", state.parked_without_route},
                       {"discarded", state.discarded},
                       {"ignored_changes", state.ignored_changes},
                       {"tables", std::move(tables)},
                       {"sinks", std::move(sinks)}};
    // Names come from the database and from rows: bytes that are not UTF-8 must not end the relay.
    return body.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace walrelay::admin
