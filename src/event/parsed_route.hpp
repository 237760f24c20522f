// A route whose templates were read, before any table is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/core/template_syntax.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::event {

using template_parts = std::vector<template_part>;

/// One sink of a route.
struct parsed_target {
    enum class address : std::uint8_t { none, topic, url };

    std::size_t sink = 0;
    address kind = address::none;
    template_parts text;   ///< of the topic, or of path and query
    template_parts shown;  ///< of path and query where some of it is secret; else empty
};

/// Which columns a table must have, apart from those that the route names.
enum class shape_kind : std::uint8_t { mapped, outbox, push };

/// What a route takes from a row, and where to.
struct parsed_route {
    std::uint16_t index = 0;  ///< in config::model::routes
    std::string schema;       ///< empty for messages, whose table is "message:PREFIX"
    std::string table;
    std::string at;  ///< file:line:column
    std::vector<std::pair<std::string, std::vector<std::string>>> where;
    std::vector<parsed_target> to;  ///< empty: discards
    std::vector<std::string> topics;
    config::error_policy on_event_error = config::error_policy::park;

    shape_kind shape = shape_kind::mapped;
    header_style style = header_style::walrelay;
    std::optional<template_parts> id;
    std::optional<template_parts> key;
    std::optional<template_parts> type;
    std::string payload;  ///< mapped shapes only, as the rest
    std::optional<std::string> headers;
    std::vector<std::pair<std::string, template_parts>> header_values;
    std::set<std::string> secret_headers;  ///< names in `header_values`
};

/// Errors name the route or the sink by file:line:column.
[[nodiscard]] result<parsed_route> parse_route(const config::model& model, std::size_t index);

}  // namespace walrelay::event
