#include "routed_table.hpp"

#include <algorithm>

#include "position_id.hpp"
#include "row_headers.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/core/planted.hpp"
#include "walrelay/core/stable_hash.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::event {

namespace {

/// One row at a time is read, and on the thread of its stream: the buffers stay as large as the
/// widest plan and the longest key needed them.
row_values& row_buffer() {
    thread_local row_values values;
    return values;
}

std::string& text_buffer() {
    thread_local std::string text;
    return text;
}

enum class matching : std::uint8_t { yes, no, unknown };

matching matches(const planned_route& route, const row_values& row) noexcept {
    using kind = pgoutput::value_view::kind;
    for (const condition& c : route.where) {
        const pgoutput::value_view& value = row[c.column];
        if (value.what == kind::unchanged_toast) return matching::unknown;
        if (value.what == kind::null) return matching::no;
        if (std::none_of(c.globs.begin(), c.globs.end(),
                         [&](const std::string& glob) { return glob_matches(glob, value.text); })) {
            return matching::no;
        }
    }
    return matching::yes;
}

std::size_t bound(const std::optional<row_template>& text, const row_values& row) noexcept {
    return text ? text->bound(row) : 0;
}

std::size_t body_bound(const planned_route& route, const row_values& row) noexcept {
    if (const auto* push = std::get_if<push_columns>(&route.body)) return push_bound(*push, row);
    return body_bound(*std::get_if<body_source>(&route.body), row);
}

std::size_t headers_bound(const planned_route& route, const row_values& row) {
    std::size_t bytes = route.headers ? row_headers_bound(row[*route.headers].text) : 0;
    std::string unused;  // a template with a form is one column: nothing is appended
    for (const planned_header& header : route.header_values) {
        bytes += header.form == header_form::text
                     ? header.value.bound(row)
                     : header_text_bound(header.form, header.value.fill(row, unused).text);
    }
    return bytes;
}

/// What a template says of a row; nothing for NULL and for what was not sent.
std::optional<std::string> text_of(const std::optional<row_template>& from, const row_values& row) {
    if (!from) return std::nullopt;
    std::string made;
    const filled value = from->fill(row, made);
    if (value.what != filled::state::text) return std::nullopt;
    return std::string{value.text};
}

std::optional<std::string> text_of(const std::optional<slot>& column, const row_values& row) {
    if (!column || row[*column].what != pgoutput::value_view::kind::text) return std::nullopt;
    return std::string{row[*column].text};
}

/// All that fill() may append. The views of a record point into its scratch, so that must not move
/// while they are made.
std::size_t scratch_bound(const planned_route& route, const destination& to,
                          const row_values& row) {
    // Never so few that the text fits the string's own small buffer: that moves with the record.
    return longest_position_id + bound(route.id, row) + bound(route.key, row) +
           bound(route.type, row) + to.bound(row) + body_bound(route, row) +
           headers_bound(route, row);
}

}  // namespace

routed_table::routed_table(std::shared_ptr<const pgoutput::relation> table,
                           std::vector<planned_route> routes, std::vector<wanted_column> wanted,
                           shape_columns known)
    : table_{std::move(table)},
      name_{table_->qualified_name()},
      routes_{std::move(routes)},
      wanted_{std::move(wanted)},
      known_{known} {}

bool routed_table::fits(const pgoutput::tuple_view& row) const noexcept {
    return row.size() == table_->columns.size();
}

const planned_route* routed_table::match(const row_values& row) const noexcept {
    for (const planned_route& route : routes_) {
        const matching answer = matches(route, row);
        if (answer == matching::yes) return &route;
        // A later route must not take what an earlier one might have: the row would be sent astray.
        if (answer == matching::unknown) return nullptr;
    }
    return nullptr;
}

routing routed_table::decide(const pgoutput::tuple_view& row,
                             std::vector<placement>& placements) const {
    placements.clear();
    if (routes_.empty() || !fits(row)) return {};
    row_values& values = row_buffer();
    values.load(row, wanted_);
    const planned_route* const route = match(values);
    if (route == nullptr) return {};
    if (route->to.empty()) return {routing::verdict::discarded, route->index};

    std::string& buffer = text_buffer();
    placement one;
    one.on_event_error = route->on_event_error;
    if (route->key) {
        buffer.clear();
        const filled key = route->key->fill(values, buffer);
        one.keyed = key.what == filled::state::text || planted(bug::null_key_is_a_key);
        if (planted(bug::empty_key_is_null) && key.text.empty()) one.keyed = false;
        if (one.keyed) one.key_hash = stable_hash(key.text);
        // A key orders the workflows of its queue: those of another one don't wait for it.
        if (const auto* push = std::get_if<push_columns>(&route->body))
            one.key_hash ^= stable_hash(values[push->queue].text) << 1;
    }
    for (const destination& to : route->to) {
        one.sink = to.sink();
        one.target_hash = to.hash(values, buffer);
        placements.push_back(one);
    }
    return {routing::verdict::routed, route->index};
}

result<void> routed_table::build(const pgoutput::tuple_view& row, std::uint16_t route,
                                 std::size_t sink, const row_position& position,
                                 std::uint64_t epoch, record& out) const {
    if (!fits(row)) {
        return row_error("the row has " + std::to_string(row.size()) + " columns and the table " +
                         std::to_string(table_->columns.size()));
    }
    const auto planned = std::find_if(routes_.begin(), routes_.end(),
                                      [&](const planned_route& r) { return r.index == route; });
    if (planned == routes_.end()) return row_error("the route is not one of this table");
    const auto to = std::find_if(planned->to.begin(), planned->to.end(),
                                 [&](const destination& d) { return d.sink() == sink; });
    if (to == planned->to.end()) return row_error("the sink is not one of the route");

    row_values& values = row_buffer();
    values.load(row, wanted_);
    out.scratch.clear();
    out.scratch.reserve(scratch_bound(*planned, *to, values));
    out.headers.clear();
    out.push.reset();
    out.style = planned->style;
    out.key.reset();
    out.type.reset();
    out.body.reset();
    out.body_in_frame = false;
    out.content_type = {};
    out.content_type_secret = false;
    out.table = name_;
    out.position = position;
    out.epoch = epoch;
    return fill(*planned, *to, values, out);
}

result<void> routed_table::fill(const planned_route& route, const destination& to,
                                const row_values& row, record& out) const {
    using state = filled::state;
    if (auto id = fill_id(route, row, out); !id) return id;
    if (route.key) {
        const filled key = route.key->fill(row, out.scratch);
        if (key.what == state::unchanged_toast) return column_error("key", key);
        if (key.what == state::text) out.key = key.text;
    }
    if (route.type) {
        const filled type = route.type->fill(row, out.scratch);
        if (type.what == state::unchanged_toast) return column_error("type", type);
        if (type.what == state::text) out.type = type.text;
    }
    const filled address = to.fill(row, out.scratch);
    if (address.what != state::text) return column_error(to.what(), address);
    if (std::string fault = to.fault_of(address.text); !fault.empty())
        return row_error(std::move(fault));
    out.destination = address.text;
    out.secret_destination = {};
    if (to.hides()) {
        out.secret_destination = address.text;
        out.destination = to.fill_shown(row, out.scratch);
    }

    if (auto body = fill_body(route, row, out); !body) return body;
    return fill_headers(route, to, row, out);
}

result<void> routed_table::fill_body(const planned_route& route, const row_values& row,
                                     record& out) const {
    if (const auto* push = std::get_if<push_columns>(&route.body)) {
        const filled made = take_push(*push, row, out);
        if (made.what != filled::state::text) return column_error("push", made);
        return {};
    }
    auto body = take_body(*std::get_if<body_source>(&route.body), row, out);
    if (!body) return row_error(std::move(body.error().cause), std::move(body.error().hint));
    return {};
}

result<void> routed_table::fill_headers(const planned_route& route, const destination& to,
                                        const row_values& row, record& out) const {
    using state = filled::state;
    using kind = pgoutput::value_view::kind;
    // Debezium gives Kafka what the shape names and nothing else, so it is listed or lost.
    const bool listed = route.style == header_style::debezium && to.is_topic();
    header_list headers{
        out, listed ? header_list::content_type::listed : header_list::content_type::apart};
    if (route.headers && row[*route.headers].what != kind::null) {
        const pgoutput::value_view object = row[*route.headers];
        if (object.what == kind::unchanged_toast) {
            return column_error("headers",
                                {.what = state::unchanged_toast, .text = {}, .at = *route.headers});
        }
        auto taken = take_row_headers(object.text, out.scratch, headers);
        if (!taken) return row_error(std::move(taken.error().cause));
    }
    for (const planned_header& header : route.header_values) {
        const filled value = header.value.fill(row, out.scratch);
        if (value.what == state::unchanged_toast) {
            return column_error("header \"" + printable(header.name) + '"', value);
        }
        std::optional<std::string_view> text;
        if (value.what == state::text) {
            text = header_text(header.form, value.text, out.scratch);
        }
        auto added = headers.add(header.name, text, header.secret);
        if (!added) return row_error(std::move(added.error().cause));
    }
    return {};
}

result<void> routed_table::fill_id(const planned_route& route, const row_values& row,
                                   record& out) const {
    if (!route.id) {
        append_position_id(out.scratch, out.position);
        out.id = out.scratch;
        return {};
    }
    const filled id = route.id->fill(row, out.scratch);
    if (id.what != filled::state::text) return column_error("id", id);
    if (id.text.empty()) return row_error("the id is empty");
    out.id = id.text;
    return {};
}

std::string routed_table::id_of(const pgoutput::tuple_view& row,
                                const row_position& position) const {
    std::string made;
    if (fits(row)) {
        row_values& values = row_buffer();
        values.load(row, wanted_);
        const planned_route* const route = match(values);
        if (route != nullptr && route->id) {
            const filled id = route->id->fill(values, made);
            if (id.what == filled::state::text && !id.text.empty()) return std::string{id.text};
            made.clear();
        } else if (known_.id && (route == nullptr || route->to.empty())) {
            const std::string_view id = values[*known_.id].text;
            if (!id.empty()) return std::string{id};
        }
    }
    append_position_id(made, position);
    return made;
}

outline routed_table::outline_for(const pgoutput::tuple_view& row, std::uint16_t route,
                                  std::size_t sink) const {
    outline seen;
    const auto planned = std::find_if(routes_.begin(), routes_.end(),
                                      [&](const planned_route& r) { return r.index == route; });
    if (planned == routes_.end() || !fits(row)) return seen;
    row_values& values = row_buffer();
    values.load(row, wanted_);
    seen.key = text_of(planned->key, values);
    seen.type = text_of(planned->type, values);
    const auto to = std::find_if(planned->to.begin(), planned->to.end(),
                                 [&](const destination& d) { return d.sink() == sink; });
    if (to == planned->to.end()) return seen;
    std::string made;
    const filled address = to->fill(values, made);
    if (address.what != filled::state::text) return seen;
    std::string shown;
    seen.destination = to->hides() ? to->fill_shown(values, shown) : address.text;
    return seen;
}

outline routed_table::outline_of(const pgoutput::tuple_view& row) const {
    outline seen;
    if (!fits(row)) return seen;
    row_values& values = row_buffer();
    values.load(row, wanted_);
    bool first = true;
    const auto agree = [&first](std::optional<std::string>& seen_so_far,
                                std::optional<std::string> said) {
        const bool same = first || said == seen_so_far;
        seen_so_far = same ? std::move(said) : std::nullopt;
    };
    for (const planned_route& route : routes_) {
        if (route.to.empty()) continue;
        agree(seen.key, text_of(route.key, values));
        agree(seen.type, text_of(route.type, values));
        first = false;
    }
    if (!first) return seen;
    seen.key = text_of(known_.key, values);
    seen.type = text_of(known_.type, values);
    return seen;
}

error routed_table::row_error(std::string cause, std::string hint) const {
    return {"make event", printable(name_), std::move(cause), std::move(hint)};
}

error routed_table::column_error(std::string_view what, const filled& failure) const {
    const auto wanted = std::find_if(wanted_.begin(), wanted_.end(),
                                     [&](const wanted_column& w) { return w.slot == failure.at; });
    std::string cause{what};
    cause += ": column \"";
    if (wanted != wanted_.end()) cause += printable(table_->columns[wanted->column].name);
    cause += '"';
    switch (failure.what) {
        case filled::state::null:
            return row_error(cause + " is NULL");
        case filled::state::unchanged_toast:
            return row_error(cause + " was not sent (unchanged TOAST)",
                             "only inserts are events: publish = 'insert'");
        case filled::state::bad_segment:
            return row_error(cause + " makes a path segment that is empty, \".\" or \"..\"");
        case filled::state::text:
            break;
    }
    return row_error(std::move(cause));
}

}  // namespace walrelay::event
