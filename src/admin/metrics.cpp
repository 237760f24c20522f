// Renaming a metric breaks users' dashboards and alerts: the names are documented in README.
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "walrelay/admin/server.hpp"

namespace walrelay::admin {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(const char* name, const char* help, MetricType type) {
    MetricFamily made;
    made.name = name;
    made.help = help;
    made.type = type;
    return made;
}

void add(MetricFamily& to, double value, std::vector<ClientMetric::Label> labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = value;
    metric.gauge.value = value;
    to.metric.push_back(std::move(metric));
}

MetricFamily gauge(const char* name, const char* help, double value) {
    MetricFamily made = family(name, help, MetricType::Gauge);
    add(made, value);
    return made;
}

std::vector<MetricFamily> event_counters(const snapshot& state) {
    MetricFamily received = family("walrelay_events_received_total",
                                   "Rows that were read from the slot.", MetricType::Counter);
    for (const table_figures& table : state.tables) {
        add(received, static_cast<double>(table.received), {{"table", table.table}});
    }
    MetricFamily delivered = family("walrelay_events_delivered_total",
                                    "Records that a sink accepted.", MetricType::Counter);
    MetricFamily retried =
        family("walrelay_events_retried_total",
               "Attempts that were not delivered, by class of the outcome.", MetricType::Counter);
    MetricFamily parked =
        family("walrelay_events_parked_total",
               "Events set aside: parked (refused for good) or held (behind a stuck key).",
               MetricType::Counter);
    MetricFamily held_keys = family(
        "walrelay_held_keys", "Keys whose events come from walrelay.parked.", MetricType::Gauge);
    MetricFamily in_flight =
        family("walrelay_sink_in_flight", "Attempts on the wire.", MetricType::Gauge);
    for (const sink_figures& sink : state.sinks) {
        add(delivered, static_cast<double>(sink.delivered),
            {{"sink", sink.name}, {"class", "delivered"}});
        for (const auto& [what, count] : sink.retried) {
            add(retried, static_cast<double>(count), {{"sink", sink.name}, {"class", what}});
        }
        add(parked, static_cast<double>(sink.parked), {{"sink", sink.name}, {"class", "parked"}});
        add(parked, static_cast<double>(sink.held), {{"sink", sink.name}, {"class", "held"}});
        add(held_keys, static_cast<double>(sink.held_keys), {{"sink", sink.name}});
        add(in_flight, static_cast<double>(sink.in_flight), {{"sink", sink.name}});
    }
    add(parked, static_cast<double>(state.parked_without_route),
        {{"sink", ""}, {"class", "parked"}});
    return {std::move(received), std::move(delivered), std::move(retried),
            std::move(parked),   std::move(held_keys), std::move(in_flight)};
}

}  // namespace

std::string to_metrics(const snapshot& state) {
    std::vector<MetricFamily> families = event_counters(state);
    families.push_back(gauge("walrelay_lag_bytes",
                             "WAL between what is safe and the server's newest position.",
                             static_cast<double>(state.lag_bytes)));
    families.push_back(gauge("walrelay_lag_seconds",
                             "Age of the oldest commit that is not delivered.", state.lag_seconds));
    families.push_back(gauge("walrelay_slot_retained_bytes",
                             "WAL that the slot keeps on the server.",
                             static_cast<double>(state.slot_retained_bytes)));
    families.push_back(gauge("walrelay_in_flight_events", "Events in memory that are not resolved.",
                             static_cast<double>(state.in_flight_events)));
    families.push_back(gauge("walrelay_in_flight_bytes", "Bytes of those events.",
                             static_cast<double>(state.in_flight_bytes)));
    families.push_back(gauge("walrelay_replay_events", "Events that a crash would send again.",
                             static_cast<double>(state.replay_events)));
    families.push_back(
        gauge("walrelay_ready", "1 while /readyz answers 200.", state.ready ? 1 : 0));
    families.push_back(gauge("walrelay_reload_failed",
                             "1 when the last reload changed nothing, as something was wrong.",
                             state.reload_fault.empty() ? 0 : 1));
    families.push_back(gauge("walrelay_loop_latency_seconds",
                             "How late the event loop was in the last second.",
                             state.loop_latency_seconds));
    MetricFamily reconnects = family("walrelay_reconnects_total",
                                     "Replication streams after the first.", MetricType::Counter);
    add(reconnects, static_cast<double>(state.reconnects));
    families.push_back(std::move(reconnects));
    return prometheus::TextSerializer{}.Serialize(families);
}

}  // namespace walrelay::admin
