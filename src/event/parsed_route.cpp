#include "parsed_route.hpp"

#include <limits>

#include "destination.hpp"
#include "url_path.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/event/message_row.hpp"
#include "walrelay/event/router.hpp"

namespace walrelay::event {

namespace {

error route_error(const config::position& at, std::string cause, std::string hint = {}) {
    return {"read route", to_string(at), std::move(cause), std::move(hint)};
}

template_part column_part(std::string name) {
    return {.is_column = true, .text = std::move(name)};
}

template_parts one_column(std::string name) {
    return {column_part(std::move(name))};
}

/// `what` is the name of the option.
result<void> parse(const config::route& route, std::string_view what,
                   const std::optional<std::string>& text, std::optional<template_parts>& parts) {
    if (!text) return {};
    auto parsed = parse_template(*text);
    if (!parsed) return route_error(route.at, std::string{what} + ": " + parsed.error().cause);
    parts = std::move(*parsed);
    return {};
}

result<void> parse_mapped(const config::route& route, const config::mapped_shape& shape,
                          parsed_route& out) {
    if (auto r = parse(route, "shape.id", shape.id, out.id); !r) return r;
    if (auto r = parse(route, "shape.key", shape.key, out.key); !r) return r;
    if (auto r = parse(route, "shape.type", shape.type, out.type); !r) return r;
    out.payload = shape.payload;
    out.headers = shape.headers;
    for (const auto& [name, text] : shape.header_values) {
        std::optional<template_parts> parts;
        if (auto r = parse(route, "shape.headers." + printable(name), text, parts); !r) return r;
        out.header_values.emplace_back(name, std::move(*parts));
    }
    out.secret_headers = shape.secret_headers;
    if (shape.debezium) out.style = header_style::debezium;
    return {};
}

result<void> parse_shape(const config::route& route, parsed_route& out) {
    if (const auto* mapped = std::get_if<config::mapped_shape>(&route.shape)) {
        if (auto r = parse_mapped(route, *mapped, out); !r) return r;
    } else if (std::holds_alternative<config::push_shape>(route.shape)) {
        out.shape = shape_kind::push;
        out.id = template_parts{column_part("workflow_id"), {.text = "-"}, column_part("push")};
        out.key = one_column("key");
    } else {
        out.shape = shape_kind::outbox;
        out.id = one_column("id");
        out.key = one_column("key");
        out.type = one_column("type");
    }
    return parse(route, "key", route.key, out.key);
}

result<template_parts> topic_of(const config::route& route, const std::string& sink) {
    const std::string written = topic_template(route);
    if (written.empty()) {
        return route_error(route.at, "sink \"" + sink + "\" is Kafka and the route names no topic",
                           "add topic: to the route");
    }
    auto parts = parse_template(written);
    if (!parts) return route_error(route.at, "topic: " + parts.error().cause);
    if (const auto constant = constant_text(*parts)) {
        const std::string fault = fault_of_topic(*constant, route.topics);
        if (!fault.empty()) return route_error(route.at, fault);
    }
    return parts;
}

result<parsed_target> parse_target(const config::model& model, const config::route& route,
                                   std::size_t sink) {
    using address = parsed_target::address;
    if (sink >= model.sinks.size())
        return route_error(route.at, "to: names a sink that does not exist");
    const config::sink& to = model.sinks[sink];
    if (std::holds_alternative<config::kafka_sink>(to.kind)) {
        auto topic = topic_of(route, to.name);
        if (!topic) return topic.error();
        return parsed_target{sink, address::topic, std::move(*topic), {}};
    }
    if (const auto* http = std::get_if<config::http_sink>(&to.kind)) {
        auto path = url_path_parts(http->url);
        if (!path) {
            return error{"read sink", to_string(to.at), "url: " + path.error().cause, ""};
        }
        template_parts shown;
        if (!http->shown_url.empty()) shown = shown_path_parts(http->shown_url, *path);
        return parsed_target{sink, address::url, std::move(*path), std::move(shown)};
    }
    return parsed_target{sink, address::none, {}, {}};
}

}  // namespace

std::string topic_template(const config::route& route) {
    if (route.topic) return *route.topic;
    if (std::holds_alternative<config::push_shape>(route.shape)) return "{queue}";
    const auto* mapped = std::get_if<config::mapped_shape>(&route.shape);
    if (mapped == nullptr) return "{topic}";
    return mapped->debezium ? "outbox.event.{aggregatetype}" : "";
}

result<parsed_route> parse_route(const config::model& model, std::size_t index) {
    const config::route& route = model.routes[index];
    if (index > std::numeric_limits<std::uint16_t>::max()) {
        return route_error(route.at, "more than 65,536 routes");
    }
    parsed_route out;
    out.index = static_cast<std::uint16_t>(index);
    out.schema = route.from_schema;
    out.table =
        route.from_message.empty() ? route.from_table : message_relation(route.from_message)->name;
    out.at = to_string(route.at);
    out.where = route.where;
    out.topics = route.topics;
    out.on_event_error = route.on_event_error;
    if (auto shape = parse_shape(route, out); !shape) return shape.error();
    for (const std::size_t sink : route.to) {
        auto target = parse_target(model, route, sink);
        if (!target) return target.error();
        out.to.push_back(std::move(*target));
    }
    return out;
}

}  // namespace walrelay::event
