// The body of a push of a workflow.
#pragma once

#include <cstddef>

#include "row_values.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::event {

/// Where the columns of walrelay.dispatch are.
struct push_columns {
    slot workflow_id = 0;
    slot name = 0;
    slot queue = 0;
    slot attempt = 0;
    slot key = 0;
    slot input = 0;
};

/// At most so many bytes of scratch are used by take_push().
[[nodiscard]] std::size_t push_bound(const push_columns& from, const row_values& row) noexcept;

/// Sets push, body and content_type. The body is {"workflow_id":…,"name":…,"queue":…,"attempt":…,
/// "key":…,"input":…} without blanks, but `input` keeps its text. `out.scratch` has room. What is
/// not a text tells the column that is missing: only key and input may be NULL.
[[nodiscard]] filled take_push(const push_columns& from, const row_values& row, record& out);

}  // namespace walrelay::event
