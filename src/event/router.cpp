#include "walrelay/event/router.hpp"

#include <algorithm>

#include "parsed_route.hpp"
#include "plan_compiler.hpp"

namespace walrelay::event {

struct router::compiled {
    std::vector<parsed_route> routes;
};

result<router> router::make(const config::model& model) {
    auto routes = std::make_shared<compiled>();
    for (std::size_t i = 0; i < model.routes.size(); ++i) {
        auto route = parse_route(model, i);
        if (!route) return route.error();
        routes->routes.push_back(std::move(*route));
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

result<std::shared_ptr<const table_plan>> router::plan(
    std::shared_ptr<const pgoutput::relation> table) const {
    return compile_plan(compiled_->routes, std::move(table));
}

}  // namespace walrelay::event
