// Makes the plan of a table out of the routes that name it.
#pragma once

#include <memory>
#include <vector>

#include "parsed_route.hpp"
#include "walrelay/event/router.hpp"

namespace walrelay::event {

/// `routes` in their order in the sink map; those of other tables are passed over. Fails with every
/// column that a route uses and the table has not.
[[nodiscard]] result<std::shared_ptr<const table_plan>> compile_plan(
    const std::vector<parsed_route>& routes, std::shared_ptr<const pgoutput::relation> table);

}  // namespace walrelay::event
