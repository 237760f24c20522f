#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "debezium_option.hpp"
#include "sections.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::config {

namespace {

constexpr std::size_t most_routes = 1000;  // every row is compared with those of its table
constexpr std::string_view message_scheme = "message:";

/// What the later checks of a route have to know of its sinks.
struct destinations {
    std::vector<std::size_t> sinks;
    bool none = false;   ///< `to: none`
    bool sound = false;  ///< every sink is known, and so is its kind
    bool kafka = false;  ///< one of them at least
    std::vector<const http_sink*> http;
};

/// Takes a SQL name off the front of `text`: up to a dot, as it stands, or in double quotes.
std::optional<std::string> take_name(std::string_view& text) {
    std::string name;
    if (!text.starts_with('"')) {
        const std::size_t end = std::min(text.find('.'), text.size());
        name = text.substr(0, end);
        text.remove_prefix(end);
        if (name.find('"') != std::string::npos) return std::nullopt;
    } else {
        text.remove_prefix(1);
        while (!text.empty() && (text.front() != '"' || text.starts_with("\"\""))) {
            const std::size_t size = text.front() == '"' ? 2 : 1;
            name += text.front();
            text.remove_prefix(size);
        }
        if (text.empty()) return std::nullopt;
        text.remove_prefix(1);
    }
    if (!is_sql_name(name)) return std::nullopt;
    return name;
}

/// Tables of the schema that are no source of events; nothing for the others.
std::optional<std::string> fault_of_own_table(const place& where, const std::string& table,
                                              bool secret) {
    constexpr std::array<std::string_view, 2> sources{"outbox", "dispatch"};
    constexpr std::array<std::string_view, 13> own{
        "workflow",       "nudge", "redrive", "progress", "parked", "queue",   "workflow_slot",
        "workflow_state", "step",  "dedup",   "inbox",    "signal", "schedule"};
    if (std::find(sources.begin(), sources.end(), table) != sources.end()) return std::nullopt;
    if (table == "done") {
        return "a route from walrelay.done is not available yet; allowed: walrelay.outbox, "
               "walrelay.dispatch, any other schema's tables, message:PREFIX";
    }
    if (std::find(own.begin(), own.end(), table) != own.end()) {
        return "walrelay." + table +
               " is the relay's own and takes no route; applications write walrelay.outbox";
    }
    return "unknown table of the schema walrelay" + (secret ? "" : where.hint(table, sources));
}

/// `from: message:PREFIX`; false if the prefix can't be one.
bool read_prefix(const place& where, const scalar& text, route& out) {
    constexpr std::size_t longest = 63;
    const std::string_view prefix = std::string_view{text.text}.substr(message_scheme.size());
    const bool control = std::any_of(prefix.begin(), prefix.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
    if (prefix.empty() || prefix.size() > longest || control) {
        where.problem(
            "expected message: and a prefix of 1 to 63 bytes without control characters, as in "
            "message:walrelay; got " +
            text.shown());
        return false;
    }
    if (prefix.front() == ' ' || prefix.back() == ' ') {
        where.warning("the prefix begins or ends with a blank, which is part of it");
    }
    out.from_message = prefix;
    return true;
}

/// False if the table or prefix isn't known because there was a problem.
bool read_from(const place& where, route& out) {
    const auto text = where.text("a table, SCHEMA.TABLE, or message:PREFIX");
    if (!text) return false;
    if (text->text.starts_with(message_scheme)) return read_prefix(where, *text, out);
    std::string_view rest = text->text;
    auto schema = take_name(rest);
    const bool dot = rest.starts_with('.');
    if (dot) rest.remove_prefix(1);
    auto table = take_name(rest);
    if (!schema || !dot || !table || !rest.empty()) {
        where.problem(
            "expected SCHEMA.TABLE as in public.orders (names with a dot in double quotes), or "
            "message:PREFIX; got " +
            text->shown());
        return false;
    }
    if (*schema == "walrelay") {
        if (auto fault = fault_of_own_table(where, *table, text->secret)) {
            where.problem(std::move(*fault));
            return false;
        }
    }
    out.from_schema = std::move(*schema);
    out.from_table = std::move(*table);
    return true;
}

/// The columns that a message has; a name of another one is a problem of the place where it stands.
/// Those of tables are only known to the database.
void check_column(const route& from, const place& where, const scalar& name, bool at_key) {
    constexpr std::array<std::string_view, 7> columns{"id",      "topic", "key",    "type",
                                                      "payload", "raw",   "headers"};
    if (from.from_message.empty()) return;
    if (std::find(columns.begin(), columns.end(), name.text) != columns.end()) return;
    std::string text =
        name.secret ? "messages don't have this column (its name is not shown, it holds a "
                      "secret)"
                    : "messages have no column " + name.shown() + where.hint(name.text, columns);
    at_key ? where.key_problem(std::move(text)) : where.problem(std::move(text));
}

void check_columns(const route& from, const place& where, const scalar& text) {
    const auto parts = parse_template(text.text);
    if (!parts) return;
    for (const template_part& part : *parts) {
        if (part.is_column) check_column(from, where, {part.text, text.secret}, false);
    }
}

std::vector<std::string> read_globs(const place& where, std::string_view expected) {
    std::vector<std::string> out;
    const auto globs = where.texts(expected);
    if (!globs) return out;
    for (const auto& [at, glob] : *globs)
        out.push_back(glob.text);
    return out;
}

void read_where(const place& where, route& out) {
    const auto entries = where.entries();
    if (!entries) return;
    if (entries->empty())
        where.key_problem("expected at least one column: glob; without where all rows match");
    for (const auto& [column, at] : *entries) {
        if (!is_sql_name(column))
            at.key_problem("a column's name has 1 to 63 bytes and no control characters");
        else
            check_column(out, at, {column, false}, true);
        out.where.emplace_back(column, read_globs(at, "a glob or a list of globs"));
    }
}

destinations read_to(const place& where, const sink_list* sinks) {
    destinations out;
    const auto names = where.texts("a sink's name, a list of names, or none");
    if (!names || sinks == nullptr) return out;
    if (names->size() == 1 && names->front().second.text == "none" &&
        where.kind() == node_kind::scalar) {
        out.none = out.sound = true;
        return out;
    }
    std::vector<std::string_view> known;
    for (const sink& each : sinks->sinks)
        known.push_back(each.name);
    out.sound = true;
    for (const auto& [at, name] : *names) {
        const auto found = std::find(known.begin(), known.end(), name.text);
        const auto index = static_cast<std::size_t>(found - known.begin());
        if (found == known.end()) {
            at.problem(name.text == "none" ? "none discards the row and can't stand beside sinks"
                       : name.secret ? "unknown sink (its name is not shown, it holds a secret)"
                                     : "unknown sink " + name.shown() + at.hint(name.text, known));
            out.sound = false;
        } else if (std::find(out.sinks.begin(), out.sinks.end(), index) != out.sinks.end()) {
            at.problem("this sink is in the list already");
        } else {
            out.sinks.push_back(index);
            out.sound = out.sound && sinks->kind_is_known[index];
            const auto& kind = sinks->sinks[index].kind;
            out.kafka = out.kafka || std::holds_alternative<kafka_sink>(kind);
            if (const auto* const http = std::get_if<http_sink>(&kind)) out.http.push_back(http);
        }
    }
    return out;
}

/// What a broker or the relay would refuse whatever the row holds; empty if nothing.
std::string fault_of_topic(const std::vector<template_part>& parts) {
    constexpr std::size_t longest = 249;
    std::size_t literal_bytes = 0;
    bool has_column = false;
    for (const template_part& part : parts) {
        has_column = has_column || part.is_column;
        if (part.is_column) continue;
        literal_bytes += part.text.size();
        const std::string_view allowed =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
        if (part.text.find_first_not_of(allowed) != std::string::npos) {
            return "a topic has only the characters A to Z, a to z, 0 to 9, '.', '_' and '-'";
        }
    }
    if (parts.empty()) return "a topic can't be empty";
    if (literal_bytes > longest) return "a topic has at most 249 bytes";
    const std::string& first = parts.front().text;
    if (!parts.front().is_column && first.starts_with("__")) {
        return "topics that begin with __ are Kafka's own and always refused";
    }
    if (!has_column && (first == "." || first == "..")) return "a topic can't be . or ..";
    return {};
}

void read_topic(const place& where, route& out) {
    auto text = read_template(where);
    if (!text) return;
    const auto parts = parse_template(text->text);
    if (const std::string fault = fault_of_topic(*parts); !fault.empty()) {
        where.problem(fault);
    } else if (parts->size() == 1 && !parts->front().is_column && !out.topics.empty() &&
               std::none_of(out.topics.begin(), out.topics.end(), [&](const std::string& glob) {
                   return glob_matches(glob, parts->front().text);
               })) {
        where.problem("this topic matches none of the route's topics");
    }
    check_columns(out, where, *text);
    out.topic = std::move(text->text);
}

void read_topics(const place& where, route& out) {
    const auto globs = where.texts("a glob or a list of globs");
    if (!globs) return;
    for (const auto& [at, glob] : *globs) {
        if (glob.text.starts_with("__"))
            at.problem("topics that begin with __ are Kafka's own and always refused");
        if (glob.text.empty()) at.problem("expected a glob such as orders.*, got an empty string");
        out.topics.push_back(glob.text);
    }
}

void read_topic_keys(const section& keys, const destinations& to, route& out) {
    const place* const topics = keys.find("topics");
    const place* const topic = keys.find("topic");
    if (topics != nullptr) read_topics(*topics, out);
    if (topic != nullptr) read_topic(*topic, out);
    if (!to.sound || to.kafka) return;
    for (const place* const at : {topic, topics}) {
        if (at != nullptr) at->key_problem("only a route to a Kafka sink has topics; leave it out");
    }
}

/// Of a route whose `from` and `to` have been read, whether they could be or not.
void read_route_shape(const place& where, const section& keys, const destinations& to,
                      bool from_known, route& out) {
    const place* const shape = keys.find("shape");
    const bool is_push = out.from_schema == "walrelay" && out.from_table == "dispatch";
    if (is_push) out.shape = push_shape{};
    if (is_push || !out.from_message.empty()) {
        if (shape == nullptr) return;
        return shape->key_problem(
            is_push ? "leave it out: pushes of workflows have a shape of their own"
                    : "leave it out: messages have the columns of walrelay.outbox");
    }
    if (shape != nullptr) {
        read_shape(*shape, to.http, out.shape);
        const auto* const mapped = std::get_if<mapped_shape>(&out.shape);
        if (to.sound && to.kafka && keys.find("topic") == nullptr && mapped != nullptr &&
            !mapped->debezium) {
            where.key_problem(
                "the key topic is missing: a Kafka sink needs one, and a mapped table has no "
                "default");
        }
        return;
    }
    const bool is_outbox = out.from_schema == "walrelay" && out.from_table == "outbox";
    // Discarding needs nothing of a row but its table.
    if (!from_known || is_outbox || to.none) return;
    where.key_problem(
        "the key shape is missing: only the tables of the schema walrelay have a shape of their "
        "own; expected shape: debezium, or at least shape: { payload: COLUMN }");
}

/// A route, and whether it is certain which rows of which table or prefix it takes.
struct route_reading {
    route value;
    bool source_is_known = false;
    bool takes_all_rows = false;
};

route_reading read_route(const place& where, const sink_list* sinks, error_policy policy) {
    const section keys{
        where,
        {"from", "where", "to", "shape", "topic", "key", "topics", "envelope", "on_event_error"},
        {},
        debezium_option_hint};
    route_reading read;
    route& out = read.value;
    out.at = where.position_in_file();
    const place* const from = keys.require("from");
    read.source_is_known = from != nullptr && read_from(*from, out);
    read.takes_all_rows = keys.find("where") == nullptr;
    if (const place* const at = keys.find("where")) read_where(*at, out);
    destinations to;
    if (const place* const at = keys.require("to")) to = read_to(*at, sinks);
    read_topic_keys(keys, to, out);
    if (keys.is_map()) read_route_shape(where, keys, to, read.source_is_known, out);
    out.to = std::move(to.sinks);
    if (const place* const at = keys.find("key")) {
        if (auto text = read_template(*at)) {
            check_columns(out, *at, *text);
            out.key = std::move(text->text);
        }
    }
    if (const place* const at = keys.find("envelope")) {
        static_cast<void>(at->choice({"raw"}, {"cloudevents"}));
    }
    out.on_event_error = policy;
    if (const place* const at = keys.find("on_event_error"))
        read_event_error_policy(*at, out.on_event_error);
    return read;
}

}  // namespace

std::vector<route> read_routes(const place& where, const sink_list* sinks, error_policy policy) {
    std::vector<route> routes;
    const auto items = where.items("a list of routes");
    if (!items) return routes;
    if (items->size() > most_routes) where.key_problem("more than 1000 routes");
    // Schema, table, prefix → the line of the route that takes them all.
    std::map<std::tuple<std::string, std::string, std::string>, int> takes_all;
    for (const place& at : *items) {
        route_reading last = read_route(at, sinks, policy);
        routes.push_back(std::move(last.value));
        if (!last.source_is_known) continue;
        const route& made = routes.back();
        const bool message = !made.from_message.empty();
        const auto source = std::tuple{made.from_schema, made.from_table, made.from_message};
        if (const auto earlier = takes_all.find(source); earlier != takes_all.end()) {
            at.warning("no " + std::string{message ? "message" : "row"} +
                       " gets here: the route in line " + std::to_string(earlier->second) +
                       " takes all " +
                       (message ? "messages of this prefix" : "rows of this table") +
                       "; put this one before it");
        } else if (last.takes_all_rows) {
            takes_all.emplace(source, made.at.line);
        }
    }
    return routes;
}

}  // namespace walrelay::config
