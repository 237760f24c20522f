// A route whose templates were read, before any table is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::event {

using template_parts = std::vector<template_part>;

/// One sink of a route.
struct parsed_target {
    enum class address : std::uint8_t { none, topic, url };

    std::size_t sink = 0;
    address kind = address::none;
    template_parts text;  ///< of the topic, or of path and query
};

/// What a route takes from a row, and where to.
struct parsed_route {
    std::uint16_t index = 0;  ///< in config::model::routes
    std::string schema;
    std::string table;
    std::string at;  ///< file:line:column
    std::vector<std::pair<std::string, std::vector<std::string>>> where;
    std::vector<parsed_target> to;  ///< empty: discards
    std::vector<std::string> topics;

    bool walrelay_shape =
        false;  ///< the columns of walrelay.outbox; `payload` and `headers` are not used
    std::optional<template_parts> id;
    std::optional<template_parts> key;
    std::optional<template_parts> type;
    std::string payload;
    std::optional<std::string> headers;
};

/// "file:line:column".
[[nodiscard]] std::string to_string(const config::position& at);

/// The text of a template without columns.
[[nodiscard]] std::optional<std::string> constant_text(const template_parts& parts);

/// Errors name the route or the sink by file:line:column.
[[nodiscard]] result<parsed_route> parse_route(const config::model& model, std::size_t index);

}  // namespace walrelay::event
