#include "walrelay/intake/row_reader.hpp"

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "walrelay/core/planted.hpp"
#include "walrelay/event/message_row.hpp"
#include "walrelay/pgoutput/decoder.hpp"
#include "walrelay/pgoutput/encoder.hpp"

namespace walrelay::intake {

namespace {

constexpr std::string_view message_table = "message:";
constexpr std::size_t most_plans = 1000;

}  // namespace

error not_as_written(std::string cause) {
    return error{"read", "a row of walrelay.parked", std::move(cause), ""};
}

row_messages messages_of(const stored_event& stored) {
    const pgoutput::relation& table = stored.plan->relation();
    return {pgoutput::encode_relation(table), pgoutput::encode_insert(table.id, stored.row)};
}

result<std::shared_ptr<const event::table_plan>> row_reader::plan_of(const std::string& relation) {
    if (const auto known = plans_.find(relation); known != plans_.end()) return known->second;
    const std::span bytes{reinterpret_cast<const std::byte*>(relation.data()), relation.size()};
    const auto decoded = pgoutput::decode(bytes);
    if (!decoded) return not_as_written(decoded.error().text());
    const auto* const view = std::get_if<pgoutput::relation_view>(&*decoded);
    if (view == nullptr) return not_as_written("its relation is another message");
    std::shared_ptr<const event::table_plan> plan;
    if (view->schema.empty() && view->name.starts_with(message_table)) {
        plan = routes_.message_plan(view->name.substr(message_table.size()));
        if (!plan) {
            plan = event::router::plan_without_routes(
                event::message_relation(view->name.substr(message_table.size())));
        }
    } else {
        pgoutput::relation_cache cache;
        auto table = cache.put(*view);
        if (!table) return not_as_written(table.error().text());
        auto compiled = routes_.plan(std::move(*table));
        if (!compiled) return compiled.error();
        plan = std::move(*compiled);
    }
    if (plans_.size() >= most_plans) plans_.clear();
    plans_.emplace(relation, plan);
    return plan;
}

result<stored_event> row_reader::read(stored_row&& row, std::vector<event::placement>& placements) {
    placements.clear();
    auto plan = plan_of(row.relation);
    if (!plan) return plan.error();
    const auto decoded = pgoutput::decode({row.message.get(), row.message_bytes});
    if (!decoded) return not_as_written(decoded.error().text());
    const auto* const insert = std::get_if<pgoutput::insert>(&*decoded);
    if (insert == nullptr) return not_as_written("its message is not an Insert");
    stored_event read;
    read.message = std::move(row.message);
    read.row = insert->row;
    read.plan = std::move(*plan);
    read.position = row.position;
    const bool is_message = row.position.what != event::row_position::origin::row;
    read.bytes =
        static_cast<std::uint32_t>(is_message ? event::content_bytes(read.row) : row.message_bytes);
    const event::routing routed = read.plan->decide(read.row, placements);
    if (routed.what != event::routing::verdict::routed) placements.clear();
    read.route = routed.route;
    return read;
}

void feed_rows(engine::engine& decisions, event_store& events, row_reader& reader,
               const engine::load_request& asked, std::vector<loaded_row>&& rows) {
    std::vector<event::placement> placements;
    if (planted(bug::held_rows_newest_first)) std::reverse(rows.begin(), rows.end());
    for (loaded_row& one : rows) {
        const engine::aside_load& load = asked.lanes.at(one.lane);
        const engine::lane_ref lane{load.sink, load.lane};
        if (one.left) {
            decisions.no_room(lane);
            continue;
        }
        if (one.blocks) {
            decisions.block(lane);
            continue;
        }
        if (!one.fault.empty()) {
            decisions.refuse_row(lane, one.id, std::move(one.fault));
            continue;
        }
        const stream_place place = one.row.position.place();
        const std::size_t bytes = one.row.message_bytes;
        auto read = reader.read(std::move(one.row), placements);
        if (!read) {
            decisions.refuse_row(lane, one.id, read.error().text());
            continue;
        }
        const auto to =
            std::find_if(placements.begin(), placements.end(),
                         [&](const event::placement& p) { return p.sink == load.sink; });
        if (to == placements.end()) {
            decisions.refuse_row(lane, one.id, "no route sends it to this sink any more");
            continue;
        }
        engine::aside_row row{load.sink,    load.lane, one.id,          place,
                              one.attempts, bytes,     to->target_hash, to->on_event_error};
        if (planted(bug::fed_row_takes_first_target)) row.target_hash = placements[0].target_hash;
        read->redriven = one.redriven;
        events.put(decisions.feed(row), std::move(*read));
    }
    decisions.load_done();
}

}  // namespace walrelay::intake
