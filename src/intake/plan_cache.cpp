#include "walrelay/intake/plan_cache.hpp"

namespace walrelay::intake {

const planned_table& plan_cache::find(const std::shared_ptr<const pgoutput::relation>& table) {
    planned_table& known = tables_[table->id];
    if (known.relation != table) {
        known = {table, nullptr, {}};
        auto plan = routes_.plan(table);
        if (plan) {
            known.plan = std::move(*plan);
        } else {
            known.plan = event::router::plan_without_routes(table);
            known.broken = plan.error().text();
        }
    }
    last_ = &known;
    return known;
}

}  // namespace walrelay::intake
