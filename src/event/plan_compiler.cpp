#include "plan_compiler.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "routed_table.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::event {

namespace {

constexpr std::array<std::string_view, 7> outbox_columns{"id",      "topic", "key",    "type",
                                                         "payload", "raw",   "headers"};

/// Turns the column names of routes into slots, and remembers what is wrong.
class plan_compiler {
public:
    explicit plan_compiler(const pgoutput::relation& table) : table_{table} {}

    planned_route compile(const parsed_route& route) {
        at_ = &route.at;
        planned_route out;
        out.index = route.index;
        for (const auto& [column, globs] : route.where)
            out.where.push_back({want(column, "where"), globs});
        if (route.to.empty()) return out;  // a row that is discarded needs no shape
        if (route.walrelay_shape) {
            take_outbox_shape(out);
        } else {
            out.body.payload = want(route.payload, "payload");
            out.body.form = form_of(type_of(route.payload));
            if (route.headers) out.headers = want(*route.headers, "headers");
        }
        if (route.id) out.id = compile(*route.id, "id");
        if (route.key) out.key = compile(*route.key, "key");
        if (route.type) out.type = compile(*route.type, "type");
        for (const parsed_target& target : route.to)
            out.to.push_back(compile(target, route.topics));
        return out;
    }

    /// The id column, when the table has all columns of the outbox.
    std::optional<slot> outbox_id() {
        if (std::any_of(outbox_columns.begin(), outbox_columns.end(),
                        [&](std::string_view name) { return table_.column_index(name) < 0; })) {
            return std::nullopt;
        }
        return want("id", "id");
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
        for (const std::string_view name : outbox_columns) {
            if (table_.column_index(name) < 0)
                fault_of_missing(name, "a column of the walrelay shape");
        }
        out.body.payload = want("payload", "payload");
        out.body.raw = want("raw", "raw");
        out.body.form = payload_form::json;
        out.headers = want("headers", "headers");
        // Else bytes would be labelled JSON, or text refused row by row.
        if (form_of(type_of("payload")) != payload_form::json) {
            fault("column \"payload\" must be json or jsonb in the walrelay shape (" + by_route() +
                  ")");
        }
        if (form_of(type_of("raw")) != payload_form::bytes) {
            fault("column \"raw\" must be bytea in the walrelay shape (" + by_route() + ")");
        }
    }

    row_template compile(const template_parts& parts, std::string_view use) {
        return row_template{slots_of(parts, use)};
    }

    destination compile(const parsed_target& target, const std::vector<std::string>& topics) {
        switch (target.kind) {
            case parsed_target::address::topic:
                return {target.sink, topic_address{compile(target.text, "topic"), topics}};
            case parsed_target::address::url:
                return {target.sink, url_path{slots_of(target.text, "url")}};
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

std::string joined(const std::vector<std::string>& texts, std::string_view between) {
    std::string out;
    for (const std::string& text : texts) {
        if (!out.empty()) out += between;
        out += text;
    }
    return out;
}

/// The first columns of the table, for a reader who mistyped one.
std::string columns_hint(const pgoutput::relation& table) {
    constexpr std::size_t shown = 20;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < std::min(shown, table.columns.size()); ++i) {
        names.push_back(printable(table.columns[i].name));
    }
    if (table.columns.size() > shown) names.push_back("…");
    return "correct the route or add the column; the table has " + joined(names, ", ");
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
        return error{"map table", printable(table->qualified_name()),
                     joined(compiler.faults(), "; "), columns_hint(*table)};
    }
    const auto outbox_id = compiler.outbox_id();
    return std::make_shared<const routed_table>(std::move(table), std::move(planned),
                                                compiler.wanted(), outbox_id);
}

}  // namespace walrelay::event
