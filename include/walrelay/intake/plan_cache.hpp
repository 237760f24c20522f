// The plan of each table that one connection has told of.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "walrelay/event/router.hpp"

namespace walrelay::intake {

struct planned_table {
    std::shared_ptr<const pgoutput::relation> relation;
    std::shared_ptr<const event::table_plan> plan;  ///< takes no row when `broken`
    std::string broken;  ///< why the routes don't fit the table; names table, column and route
};

class plan_cache {
public:
    explicit plan_cache(const event::router& routes) noexcept : routes_{routes} {}

    /// Compiled when it is first asked for, and again for each new version of the table. Good until
    /// the next call for another table. A look-up is one comparison while rows are of one table.
    [[nodiscard]] const planned_table& of(const std::shared_ptr<const pgoutput::relation>& table) {
        return last_ != nullptr && last_->relation == table ? *last_ : find(table);
    }

private:
    const planned_table& find(const std::shared_ptr<const pgoutput::relation>& table);

    const event::router& routes_;
    std::unordered_map<std::uint32_t, planned_table> tables_;
    const planned_table* last_ = nullptr;
};

}  // namespace walrelay::intake
