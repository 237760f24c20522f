// The plan of a table: its routes with columns as slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "body.hpp"
#include "destination.hpp"
#include "header_value.hpp"
#include "push_body.hpp"
#include "row_template.hpp"
#include "row_values.hpp"
#include "walrelay/event/router.hpp"

namespace walrelay::event {

/// `where: { column: [glob, …] }`: any of the globs.
struct condition {
    slot column = 0;
    std::vector<std::string> globs;
};

/// `headers: { name: template }`.
struct planned_header {
    std::string name;
    row_template value;
    header_form form = header_form::text;  ///< where the template is one column
    bool secret = false;                   ///< some of it is: not to be shown
};

/// One route of the table. What follows `where` is empty when `to` is.
struct planned_route {
    std::uint16_t index = 0;  ///< in config::model::routes
    std::vector<condition> where;
    std::vector<destination> to;     ///< empty: discards
    std::optional<row_template> id;  ///< absent: made of the position
    std::optional<row_template> key;
    std::optional<row_template> type;
    std::variant<body_source, push_columns> body;
    std::optional<slot> headers;
    std::vector<planned_header> header_values;
    header_style style = header_style::walrelay;
    config::error_policy on_event_error = config::error_policy::park;
};

/// Of a table that has the walrelay shape, or that of pushes, whether or not a route names it.
struct shape_columns {
    std::optional<slot> id;
    std::optional<slot> key;
    std::optional<slot> type;
};

class routed_table final : public table_plan {
public:
    /// `wanted` as row_values::load() asks for it; every slot in `routes` and `known` is in it.
    routed_table(std::shared_ptr<const pgoutput::relation> table, std::vector<planned_route> routes,
                 std::vector<wanted_column> wanted, shape_columns known);

    routing decide(const pgoutput::tuple_view& row,
                   std::vector<placement>& placements) const override;
    [[nodiscard]] result<void> build(const pgoutput::tuple_view& row, std::uint16_t route,
                                     std::size_t sink, const row_position& position,
                                     std::uint64_t epoch, record& out) const override;
    std::string id_of(const pgoutput::tuple_view& row, const row_position& position) const override;

    [[nodiscard]] outline outline_for(const pgoutput::tuple_view& row, std::uint16_t route,
                                      std::size_t sink) const override;
    [[nodiscard]] outline outline_of(const pgoutput::tuple_view& row) const override;

    [[nodiscard]] const std::string& table() const override { return name_; }

    [[nodiscard]] bool has_routes() const noexcept override { return !routes_.empty(); }

    [[nodiscard]] const pgoutput::relation& relation() const override { return *table_; }

private:
    /// The route that takes the row; nullptr when none does.
    [[nodiscard]] const planned_route* match(const row_values& row) const noexcept;
    [[nodiscard]] bool fits(const pgoutput::tuple_view& row) const noexcept;
    [[nodiscard]] result<void> fill(const planned_route& route, const destination& to,
                                    const row_values& row, record& out) const;
    [[nodiscard]] result<void> fill_id(const planned_route& route, const row_values& row,
                                       record& out) const;
    [[nodiscard]] result<void> fill_body(const planned_route& route, const row_values& row,
                                         record& out) const;
    [[nodiscard]] result<void> fill_headers(const planned_route& route, const destination& to,
                                            const row_values& row, record& out) const;
    [[nodiscard]] error row_error(std::string cause, std::string hint = {}) const;
    /// Why a template gave no text.
    [[nodiscard]] error column_error(std::string_view what, const filled& failure) const;

    std::shared_ptr<const pgoutput::relation> table_;
    std::string name_;
    std::vector<planned_route> routes_;
    std::vector<wanted_column> wanted_;
    shape_columns known_;
};

}  // namespace walrelay::event
