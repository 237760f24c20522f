// What happened, for people.
#include <cstdio>
#include <ostream>

#include "simulation/world.hpp"

namespace walrelay::simulation {

namespace {

const char* name_of(config::error_policy policy) {
    switch (policy) {
        case config::error_policy::park:
            return "park";
        case config::error_policy::park_key:
            return "park_key";
        case config::error_policy::halt:
            break;
    }
    return "halt";
}

const char* nature_of(const source_row& row) {
    switch (row.what) {
        case source_row::nature::good:
            return "";
        case source_row::nature::refused:
            return row.refusals > 2 ? ", refused" : ", refused at first";
        case source_row::nature::final:
            return ", refused for good";
        case source_row::nature::batch:
            return ", refused with its batch";
        case source_row::nature::unroutable:
            break;
    }
    return ", of no route";
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const source_row& row) {
    if (row.mark) return out << "mark " << row.mark->id;
    return out << (row.message ? "message " : "row ") << row.number << " ("
               << (row.keyed() ? row.key : "no key") << ')';
}

void world::keep(const std::string& line) {
    const double seconds =
        std::chrono::duration<double>(now_ - time_point{std::chrono::hours{1}}).count();
    char when[48];
    std::snprintf(when, sizeof when, "step %5llu  %8.3f s  ",
                  static_cast<unsigned long long>(steps_), seconds);
    story_.push_back(when + line);
}

/// Who takes part, before anything happens.
void world::tell_shape() {
    tell("limits: ", options_.in_flight_events, " events and ", options_.in_flight_bytes,
         " bytes in flight, ", options_.replay_events, " events behind the record");
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        const bool kafka = std::holds_alternative<config::kafka_sink>(model_.sinks[i].kind);
        const bool serial = sinks_[i].depth == engine::lane_depth::serial;
        tell(model_.sinks[i].name, ": ", kafka ? "Kafka" : "HTTP", ", takes ", sinks_[i].capacity,
             " at once, ", serial ? "one of a key" : "many of a key");
    }
    for (std::size_t i = 0; i < base_routes_.size(); ++i) {
        if (base_routes_[i].to.empty()) continue;
        std::string to;
        for (const std::size_t sink : base_routes_[i].to)
            to += ' ' + model_.sinks[sink].name;
        tell("route ", i, ":", to, ", on_event_error: ", name_of(base_routes_[i].on_event_error));
    }
}

void world::tell_commit(const source_transaction& unit) {
    if (!plot_.tells) return;
    tell("the server commits ", unit.commit.value, " to ", unit.end.value,
         unit.rows.empty() ? ", without rows" : "");
    for (const row_pointer& row : unit.rows) {
        if (row->mark) {
            std::string ids;
            for (const std::int64_t id : row->mark->ids)
                ids += ' ' + std::to_string(id);
            tell("    ", *row, ": ", row->mark->action, ' ', row->mark->sink, ids);
        } else {
            tell("    ", *row, " by route ", row->route, " to target ", row->target,
                 nature_of(*row));
        }
    }
}

void world::tell_put(const fake_store::row& row) {
    const bool held = row.state == engine::aside_state::held;
    tell("    ", *by_number_.at(row.number), held ? " is held" : " is parked",
         row.holds_key ? ", its key waits" : "", " for ",
         row.sink ? model_.sinks[*row.sink].name : std::string{"no sink"});
}

}  // namespace walrelay::simulation
