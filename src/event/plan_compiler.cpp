#include "plan_compiler.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "routed_table.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/core/joined.hpp"
#include "walrelay/core/type_oid.hpp"

namespace walrelay::event {

namespace {

constexpr std::array<std::string_view, 7> outbox_columns{"id",      "topic", "key",    "type",
                                                         "payload", "raw",   "headers"};
constexpr std::array<std::string_view, 8> push_shape_columns{
    "push", "queue", "name", "workflow_id", "attempt", "key", "input", "headers"};

bool is_json_type(std::uint32_t type) noexcept {
    return type == type_oid::json || type == type_oid::jsonb;
}

bool is_integer_type(std::uint32_t type) noexcept {
    return type == type_oid::int2 || type == type_oid::int4 || type == type_oid::int8;
}

/// Turns the column names of routes into slots, and remembers what is wrong.
class plan_compiler {
public:
    explicit plan_compiler(const pgoutput::relation& table) : table_{table} {}

    planned_route compile(const parsed_route& route) {
        at_ = &route.at;
        planned_route out;
        out.index = route.index;
        out.on_event_error = route.on_event_error;
        for (const auto& [column, globs] : route.where)
            out.where.push_back({want(column, "where"), globs});
        if (route.to.empty()) return out;  // a row that is discarded needs no shape
        out.style = route.style;
        switch (route.shape) {
            case shape_kind::outbox:
                take_outbox_shape(out);
                break;
            case shape_kind::push:
                take_push_shape(out);
                break;
            case shape_kind::mapped:
                take_mapped_shape(route, out);
        }
        if (route.id) out.id = compile(*route.id, "id");
        if (route.key) out.key = compile(*route.key, "key");
        if (route.type) out.type = compile(*route.type, "type");
        for (const parsed_target& target : route.to)
            out.to.push_back(compile(target, route.topics));
        return out;
    }

    shape_columns known() {
        if (has_all(outbox_columns))
            return {want("id", "id"), want("key", "key"), want("type", "type")};
        if (has_all(push_shape_columns)) return {std::nullopt, want("key", "key"), std::nullopt};
        return {};
    }

    const std::vector<std::string>& faults() const noexcept { return faults_; }

    /// In ascending order of columns.
    std::vector<wanted_column> wanted() const {
        auto sorted = wanted_;
        std::sort(sorted.begin(), sorted.end(), [](const wanted_column& a, const wanted_column& b) {
            return a.column < b.column;
        });
        return sorted;
    }

private:
    void take_outbox_shape(planned_route& out) {
        check_columns(outbox_columns, "a column of the walrelay shape");
        body_source body;
        body.payload = want("payload", "payload");
        body.raw = want("raw", "raw");
        body.form = payload_form::json;
        out.body = body;
        out.headers = want("headers", "headers");
        // Else bytes would be labelled JSON, or text refused row by row.
        check_type("payload", is_json_type(type_of("payload")),
                   "json or jsonb in the walrelay shape");
        check_type("raw", type_of("raw") == type_oid::bytea, "bytea in the walrelay shape");
    }

    void take_push_shape(planned_route& out) {
        check_columns(push_shape_columns, "a column of a push");
        push_columns body;
        body.workflow_id = want("workflow_id", "workflow_id");
        body.name = want("name", "name");
        body.queue = want("queue", "queue");
        body.attempt = want("attempt", "attempt");
        body.key = want("key", "key");
        body.input = want("input", "input");
        out.body = body;
        out.headers = want("headers", "headers");
        // They go into the body as they stand.
        check_type("attempt", is_integer_type(type_of("attempt")), "an integer in a push");
        check_type("input", is_json_type(type_of("input")), "json or jsonb in a push");
    }

    void take_mapped_shape(const parsed_route& route, planned_route& out) {
        body_source body;
        body.payload = want(route.payload, "payload");
        body.form = form_of(type_of(route.payload));
        out.body = body;
        if (route.headers) out.headers = want(*route.headers, "headers");
        for (const auto& [name, value] : route.header_values) {
            const bool one_column = value.size() == 1 && value.front().is_column;
            out.header_values.push_back(
                {name, compile(value, "header \"" + printable(name) + '"'),
                 one_column ? header_form_of(type_of(value.front().text)) : header_form::text,
                 route.secret_headers.contains(name)});
        }
    }

    bool has_all(std::span<const std::string_view> names) const {
        return std::all_of(names.begin(), names.end(),
                           [&](std::string_view name) { return table_.column_index(name) >= 0; });
    }

    void check_columns(std::span<const std::string_view> names, const std::string& use) {
        for (const std::string_view name : names) {
            if (table_.column_index(name) < 0) fault_of_missing(name, use);
        }
    }

    /// A column that is missing was told of already.
    void check_type(std::string_view name, bool good, std::string_view what) {
        if (good || table_.column_index(name) < 0) return;
        fault("column \"" + std::string{name} + "\" must be " + std::string{what} + " (" +
              by_route() + ")");
    }

    row_template compile(const template_parts& parts, std::string_view use) {
        return row_template{slots_of(parts, use)};
    }

    destination compile(const parsed_target& target, const std::vector<std::string>& topics) {
        switch (target.kind) {
            case parsed_target::address::topic:
                return {target.sink, topic_address{compile(target.text, "topic"), topics}};
            case parsed_target::address::url:
                return {target.sink,
                        url_path{slots_of(target.text, "url"), slots_of(target.shown, "url")}};
            case parsed_target::address::none:
                break;
        }
        return {target.sink, no_address{}};
    }

    std::vector<row_template::part> slots_of(const template_parts& parts, std::string_view use) {
        std::vector<row_template::part> out;
        for (const template_part& part : parts) {
            if (part.is_column) {
                out.emplace_back(want(part.text, use));
            } else {
                out.emplace_back(part.text);
            }
        }
        return out;
    }

    /// The slot of a column; any slot when it is missing, because no plan is made then.
    slot want(std::string_view name, std::string_view use) {
        const int index = table_.column_index(name);
        if (index < 0) {
            fault_of_missing(name, "used as " + std::string{use});
            return 0;
        }
        const auto column = static_cast<std::uint16_t>(index);
        for (const wanted_column& known : wanted_) {
            if (known.column == column) return known.slot;
        }
        const auto next = static_cast<slot>(wanted_.size());
        wanted_.push_back({column, next});
        return next;
    }

    std::uint32_t type_of(std::string_view name) const noexcept {
        const int index = table_.column_index(name);
        return index < 0 ? 0 : table_.columns[static_cast<std::size_t>(index)].type_oid;
    }

    std::string by_route() const { return "the route at " + *at_; }

    void fault_of_missing(std::string_view name, const std::string& use) {
        fault("column \"" + printable(name) + "\" (" + use + " by " + by_route() +
              ") does not exist");
    }

    void fault(std::string text) {
        if (std::find(faults_.begin(), faults_.end(), text) == faults_.end()) {
            faults_.push_back(std::move(text));
        }
    }

    const pgoutput::relation& table_;
    const std::string* at_ = nullptr;
    std::vector<wanted_column> wanted_;
    std::vector<std::string> faults_;
};

/// The first columns of the table, for a reader who mistyped one.
std::string columns_hint(const pgoutput::relation& table) {
    if (table.schema.empty()) {
        return "correct the route; a message has " + joined(outbox_columns);
    }
    constexpr std::size_t shown = 20;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < std::min(shown, table.columns.size()); ++i) {
        names.push_back(printable(table.columns[i].name));
    }
    if (table.columns.size() > shown) names.push_back("…");
    return "correct the route or add the column; the table has " + joined(names);
}

}  // namespace

result<std::shared_ptr<const table_plan>> compile_plan(
    const std::vector<parsed_route>& routes, std::shared_ptr<const pgoutput::relation> table) {
    plan_compiler compiler{*table};
    std::vector<planned_route> planned;
    for (const parsed_route& route : routes) {
        if (route.schema == table->schema && route.table == table->name) {
            planned.push_back(compiler.compile(route));
        }
    }
    if (!compiler.faults().empty()) {
        return error{table->schema.empty() ? "map" : "map table",
                     printable(table->qualified_name()), joined(compiler.faults(), "; "),
                     columns_hint(*table)};
    }
    const shape_columns known = compiler.known();
    return std::make_shared<const routed_table>(std::move(table), std::move(planned),
                                                compiler.wanted(), known);
}

}  // namespace walrelay::event
