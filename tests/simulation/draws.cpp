// Everything that is drawn when a world is made, and the transactions that applications commit.
#include "simulation/world.hpp"

namespace walrelay::simulation {

using std::chrono::milliseconds;
using policy = config::error_policy;

world::world(std::uint64_t seed, const plot& told)
    : seed_{seed}, plot_{told}, random_{seed, random_numbers::purpose::world, 0} {
    now_ = time_point{std::chrono::hours{1}};
    fault_rate_ = static_cast<double>(draw(0, 40)) / 100;
    break_rate_ = static_cast<double>(draw(0, 8)) / 1000;
    full_rate_ = chance(0.5) ? 0 : static_cast<double>(draw(1, 40)) / 100;
    slow_rate_ = static_cast<double>(draw(0, 90)) / 100;
    commit_rate_ = static_cast<double>(draw(2, 20)) / 100;
    bad_row_rate_ = chance(0.4) ? 0.05 : 0;
    store_fault_rate_ = chance(0.5) ? 0 : static_cast<double>(draw(1, 30)) / 100;
    operator_rate_ = chance(0.4) ? 0 : static_cast<double>(draw(1, 20)) / 1000;
    stuck_rate_ = chance(0.5) ? 0 : static_cast<double>(draw(5, 50)) / 100;
    fault_steps_ = draw(200, 2500);
    transactions_left_ = draw(3, 120);
    draw_limits();
    keys_ = static_cast<std::uint32_t>(draw(1, chance(0.2) ? 12 : 5));
    targets_ = draw(1, 3);
    draw_sinks();
    make_model();
    wal_end_ = lsn{100};
    new_relay();
}

bool world::chance(double probability) {
    return random_.chance(probability);
}

std::uint64_t world::draw(std::uint64_t low, std::uint64_t high) {
    return random_.between(low, high);
}

bool world::fault(double probability) {
    if (!chance(probability)) return false;
    const std::uint64_t name = steps_ << 8 | faults_of_step_++;
    if (plot_.faults_left_out.contains(name)) return false;
    if (plot_.tells) faults_met_.push_back(name);
    return true;
}

void world::fail(const std::string& what) const {
    throw broken_promise{"seed " + std::to_string(seed_) + ", step " + std::to_string(steps_) +
                         ": " + what};
}

void world::draw_limits() {
    options_.in_flight_events = draw(2, 40);
    options_.in_flight_bytes = draw(400, 8000);
    options_.replay_events = draw(2, 60);
    options_.hold = milliseconds{draw(50, 3000)};
    options_.loaded_lanes = chance(0.3) ? draw(1, 4) : 1000;
    options_.retries = {};
    if (chance(0.2)) options_.retries.max_attempts = static_cast<std::uint32_t>(draw(2, 6));
    if (chance(0.2)) options_.retries.max_age = milliseconds{draw(100, 5000)};
}

void world::draw_sinks() {
    sinks_.resize(draw(1, 2));
    for (fake_sink& sink : sinks_) {
        const bool kafka = chance(0.5);
        sink.depth = kafka ? engine::lane_depth::pipelined : engine::lane_depth::serial;
        sink.capacity = kafka ? draw(2, 30) : draw(1, 4);
        sink.target_down.resize(targets_);
    }
}

/// Routes 0 and 1 go to one sink each, 2 to both, 3 to none. A sink that may not be refused by a
/// record in flight, as all Kafka sinks with strict routes, keeps one record of a key in flight.
void world::make_model() {
    model_.source.slot = "slot";
    model_.on_event_error = chance(0.3) ? policy::halt : policy::park;
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        config::sink made;
        made.name = "sink" + std::to_string(i);
        if (sinks_[i].depth == engine::lane_depth::pipelined) {
            made.kind = config::kafka_sink{"broker:9092", {}, false};
        } else {
            config::http_sink http;
            http.url = "http://host/{topic}";
            http.success = {{200, 204}};
            made.kind = http;
        }
        model_.sinks.push_back(std::move(made));
    }
    for (std::size_t i = 0; i < 4; ++i) {
        config::route made;
        made.from_schema = "shop";
        made.from_table = "event";
        made.where = {{"type", {std::to_string(i)}}};
        if (i == 0 || i == 2) made.to.push_back(0);
        if ((i == 1 || i == 2) && sinks_.size() > 1) made.to.push_back(1);
        if (i < 3 && made.to.empty()) made.to.push_back(0);
        config::mapped_shape shape;
        shape.id = "{id}";
        shape.key = "{key}";
        shape.payload = "payload";
        made.shape = shape;
        made.topic = "{topic}";
        made.on_event_error = static_cast<policy>(draw(0, 2));
        const bool strict = made.on_event_error != policy::park;
        for (const std::size_t sink : made.to) {
            if (strict) sinks_[sink].depth = engine::lane_depth::serial;
        }
        model_.routes.push_back(std::move(made));
    }
    base_routes_ = model_.routes;
    for (const config::route& one : base_routes_)
        model_.routes.push_back(for_messages(one));
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        const bool http = std::holds_alternative<config::http_sink>(model_.sinks[i].kind);
        options_.sinks.push_back({sinks_[i].depth, http});
    }
}

/// The same for messages that hold what a row would.
config::route world::for_messages(config::route of_rows) {
    of_rows.from_schema.clear();
    of_rows.from_table.clear();
    of_rows.from_message = message_prefix;
    of_rows.shape = config::walrelay_shape{};
    return of_rows;
}

std::optional<source_transaction> world::draw_transaction() {
    const random_numbers of_step = random_;
    random_ = {seed_, random_numbers::purpose::transaction, transactions_drawn_++};
    source_transaction one;
    const std::uint64_t rows = chance(0.1) ? 0 : draw(1, chance(0.1) ? 60 : 6);
    for (std::uint64_t i = 0; i < rows; ++i) {
        row_pointer row = draw_row();
        if (!plot_.rows_left_out.contains(rows_drawn_++)) one.rows.push_back(std::move(row));
    }
    one.lone = one.rows.size() == 1 && one.rows.front()->message && chance(0.5);
    random_ = of_step;
    const bool nothing = rows == 0 ? plot_.rows_left_out.contains(rows_drawn_++) : one.rows.empty();
    if (nothing) return std::nullopt;
    return one;
}

row_pointer world::draw_row() {
    auto row = std::make_shared<source_row>();
    row->number = next_number_++;
    row->message = chance(0.15);
    const std::uint64_t key = draw(0, keys_ - 1);
    if (!chance(0.1)) row->key = "k" + std::to_string(key);
    row->target = key % targets_;
    row->padding.assign(draw(1, 120), 'x');
    row->route = draw(0, sinks_.size() > 1 ? 2 : 0);
    if (chance(0.05)) row->route = 3;
    row->sinks = base_routes_[row->route].to;
    row->policy = base_routes_[row->route].on_event_error;
    if (row->sinks.empty() || !chance(bad_row_rate_)) return row;

    using nature = source_row::nature;
    row->what = static_cast<nature>(draw(1, 4));
    if (row->what == nature::refused) row->refusals = chance(0.5) ? draw(1, 2) : UINT64_MAX;
    const bool kafka =
        std::holds_alternative<config::kafka_sink>(model_.sinks[row->sinks.front()].kind);
    if (row->what == nature::batch && !kafka) row->what = nature::final;
    if (row->what == nature::refused && kafka) row->what = nature::batch;
    if (row->what != nature::unroutable) return row;
    row->lost = true;
    row->sinks.clear();
    row->policy = model_.on_event_error;
    if (lost_has_route_) find_route(*row);
    return row;
}

}  // namespace walrelay::simulation
