#include "walrelay/event/router.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <string>

#include "parsed_route.hpp"
#include "plan_compiler.hpp"
#include "walrelay/event/message_row.hpp"

namespace walrelay::event {

struct router::compiled {
    std::vector<parsed_route> routes;
    std::map<std::string, std::shared_ptr<const table_plan>, std::less<>> messages;  ///< by prefix
};

result<router> router::make(const config::model& model) {
    auto routes = std::make_shared<compiled>();
    for (std::size_t i = 0; i < model.routes.size(); ++i) {
        auto route = parse_route(model, i);
        if (!route) return route.error();
        routes->routes.push_back(std::move(*route));
    }
    for (const config::route& route : model.routes) {
        const std::string& prefix = route.from_message;
        if (prefix.empty() || routes->messages.contains(prefix)) continue;
        auto plan = compile_plan(routes->routes, message_relation(prefix));
        if (!plan) return plan.error();
        routes->messages.emplace(prefix, std::move(*plan));
    }
    router made;
    made.compiled_ = std::move(routes);
    return made;
}

bool router::names(std::string_view schema, std::string_view table) const {
    return std::any_of(
        compiled_->routes.begin(), compiled_->routes.end(),
        [&](const parsed_route& r) { return r.schema == schema && r.table == table; });
}

bool router::wants_messages() const noexcept {
    return !compiled_->messages.empty();
}

std::shared_ptr<const table_plan> router::message_plan(std::string_view prefix) const {
    const auto found = compiled_->messages.find(prefix);
    return found == compiled_->messages.end() ? nullptr : found->second;
}

result<std::shared_ptr<const table_plan>> router::plan(
    std::shared_ptr<const pgoutput::relation> table) const {
    return compile_plan(compiled_->routes, std::move(table));
}

std::shared_ptr<const table_plan> router::plan_without_routes(
    std::shared_ptr<const pgoutput::relation> table) {
    return *compile_plan({}, std::move(table));  // nothing is there that could fail
}

}  // namespace walrelay::event
