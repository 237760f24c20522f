#include "debezium_option.hpp"

#include <array>

namespace walrelay::config {

namespace {

struct router_option {
    std::string_view name;
    std::string_view answer;
};

constexpr std::string_view spans = "not available: walrelay opens no spans of its own";
constexpr std::string_view expansion =
    "not available yet: the payload is sent as Postgres prints it";

// "Outbox Event Router", configuration options, in Debezium's documentation.
constexpr std::array<router_option, 20> options{{
    {"table.field.event.id", "write id: \"{COLUMN}\" in the shape"},
    {"table.field.event.key", "write key: \"{COLUMN}\" in the shape"},
    {"table.field.event.payload", "write payload: COLUMN in the shape"},
    {"table.field.event.type",
     "Debezium never reads it; a header is headers: { NAME: \"{COLUMN}\" } in the shape"},
    {"table.field.event.timestamp", "not available yet"},
    {"table.field.event.schema.version",
     "not available: it belongs to Connect's schemas, which walrelay does not write"},
    {"table.fields.additional.placement",
     "a header is headers: { NAME: \"{COLUMN}\" } in the shape; envelope and partition are not "
     "available yet"},
    {"table.field.additional.missing",
     "not available: the relay stalls and names the column that is missing"},
    {"table.op.invalid.behavior",
     "not available: updates and deletes are logged and counted, never sent"},
    {"table.expand.json.payload", expansion},
    {"table.json.payload.null.behavior", expansion},
    {"table.json.payload.empty.array.behavior", expansion},
    {"route.by.field", "write topic: \"outbox.event.{COLUMN}\" in the route"},
    {"route.topic.replacement", "write topic: \"TEXT{COLUMN}\" in the route"},
    {"route.topic.regex",
     "not available yet; routes with where: { COLUMN: GLOB }, each with its topic, may do"},
    {"route.tombstone.on.empty.payload",
     "not available yet: only a payload of NULL is a null value"},
    {"tracing.span.context.field",
     "not available yet; a column that holds a traceparent is headers: { traceparent: "
     "\"{COLUMN}\" } in the shape"},
    {"tracing.operation.name", spans},
    {"tracing.with.context.field.only", spans},
    {"extended.headers.enabled", "not available: walrelay sends id and the headers of the shape"},
}};

std::string_view without_transform(std::string_view key) {
    constexpr std::string_view prefix = "transforms.";
    if (!key.starts_with(prefix)) return key;
    const std::size_t dot = key.find('.', prefix.size());
    return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

bool is_converter(std::string_view key) {
    for (const std::string_view name : {"key.converter", "value.converter", "header.converter"}) {
        if (key.starts_with(name) && (key.size() == name.size() || key[name.size()] == '.'))
            return true;
    }
    return false;
}

}  // namespace

std::string debezium_option_hint(std::string_view key) {
    key = without_transform(key);
    for (const router_option& each : options) {
        if (key == each.name) return "an option of Debezium; " + std::string{each.answer};
    }
    if (is_converter(key)) {
        return "an option of Debezium; not available: key and headers are sent as text, the "
               "payload as text or bytes, as its StringConverter does";
    }
    return {};
}

}  // namespace walrelay::config
