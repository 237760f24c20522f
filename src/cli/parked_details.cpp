// One row of walrelay.parked with its columns, and what today's routes make of it.
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "parked_page.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/core/json_text.hpp"
#include "walrelay/event/router.hpp"
#include "walrelay/intake/row_reader.hpp"
#include "walrelay/pgoutput/decoder.hpp"
#include "walrelay/pgoutput/relation.hpp"
#include "walrelay/sink/event_line.hpp"
#include "walrelay/sink/event_text.hpp"

namespace walrelay::cli {

namespace {

using json = nlohmann::ordered_json;

/// Levels of a delivery's JSON; deeper, it is shown as a text: each level would cost stack, and
/// each line its indent.
constexpr std::size_t deepest_shown = 100;

struct shown_column {
    std::string name;
    std::optional<std::string> value;
};

/// What one sink would get, as text and as a line of JSON.
struct shown_delivery {
    std::string text;
    std::string line;
};

struct decoded_row {
    std::vector<shown_column> columns;
    std::vector<shown_delivery> deliveries;
    std::string fault;  ///< why there is no delivery
};

shown_delivery delivery_to(const config::model& model, const intake::stored_event& event,
                           std::size_t sink) {
    const std::string& name = model.sinks[sink].name;
    shown_delivery out;
    const auto refused = [&](const std::string& why) {
        const sink::unsent_event unsent{{}, event.plan->table(), event.position, name, false, why};
        sink::append_unsent(out.text, unsent);
        sink::append_unsent_line(out.line, unsent);
        return out;
    };
    event::record record;
    if (const auto built =
            event.plan->build(event.row, event.route, sink, event.position, 0, record);
        !built) {
        return refused(built.error().text());
    }
    const auto previewer = sink::make_previewer(model.sinks[sink], model.limits);
    if (!previewer) return refused(previewer.error().text());
    sink::preview wire;
    if (const auto why = (*previewer)->show(record, wire)) return refused(*why);
    sink::append_delivery(out.text, record, name, wire);
    sink::append_line(out.line, record, name, wire);
    return out;
}

/// As they were written, whatever the routes say. None where the messages aren't of the known form,
/// which the reader tells.
std::vector<shown_column> columns_of(const intake::stored_row& stored) {
    std::vector<shown_column> out;
    const auto table = pgoutput::decode(std::as_bytes(std::span{stored.relation}));
    const auto row = pgoutput::decode({stored.message.get(), stored.message_bytes});
    if (!table || !row) return out;
    const auto* const view = std::get_if<pgoutput::relation_view>(&*table);
    const auto* const insert = std::get_if<pgoutput::insert>(&*row);
    if (view == nullptr || insert == nullptr) return out;
    pgoutput::relation_cache cache;
    const auto relation = cache.put(*view);
    if (!relation) return out;
    auto column = (*relation)->columns.begin();
    for (const pgoutput::value_view value : insert->row) {
        if (column == (*relation)->columns.end()) break;
        const bool text = value.what == pgoutput::value_view::kind::text;
        out.push_back(
            {(column++)->name, text ? std::optional{std::string{value.text}} : std::nullopt});
    }
    return out;
}

decoded_row decode(intake::stored_row&& stored, const config::model& model) {
    decoded_row out;
    out.columns = columns_of(stored);
    const auto routes = event::router::make(model);
    if (!routes) {
        out.fault = routes.error().text();
        return out;
    }
    intake::row_reader reader{*routes};
    std::vector<event::placement> placements;
    const auto event = reader.read(std::move(stored), placements);
    if (!event) {
        out.fault = event.error().text();
        return out;
    }
    for (const event::placement& one : placements)
        out.deliveries.push_back(delivery_to(model, *event, one.sink));
    if (placements.empty()) out.fault = "no route of the file sends it anywhere";
    return out;
}

void add(std::string& out, std::string_view label, std::string_view text) {
    constexpr std::size_t width = 14;
    out += label;
    out.append(width > label.size() ? width - label.size() : 1, ' ');
    out.append(printable(text, text.size())).append("\n");
}

}  // namespace

std::string parked_page(parked_details&& found, const config::model& model) {
    const parked_row row = std::move(found.row);
    const decoded_row decoded = decode(std::move(found.stored), model);
    std::string out;
    add(out, "id", std::to_string(row.id));
    add(out, "state",
        row.state + (row.holds_key ? ", later events of its key wait behind it" : ""));
    add(out, "error", row.error);
    add(out, "attempts", std::to_string(row.attempts));
    add(out, "sink", row.sink.empty() ? "none: no route took it" : row.sink);
    if (!row.destination.empty()) add(out, "destination", row.destination);
    add(out, "table", row.table);
    add(out, "event id", row.event_id);
    add(out, "key", row.key.value_or("NULL"));
    if (row.type) add(out, "type", *row.type);
    add(out, "position", row.lsn);
    add(out, "transaction", std::to_string(found.xid) + ", committed " + found.committed_at);
    add(out, "set aside", row.parked_at + ", changed " + found.updated_at);
    if (row.redriven_at) add(out, "redriven", *row.redriven_at);
    for (const shown_column& one : decoded.columns)
        add(out, "column", one.name + " = " + one.value.value_or("NULL"));
    out += "today's routes:\n";
    for (const shown_delivery& one : decoded.deliveries)
        out += one.text;
    if (!decoded.fault.empty()) out += "  " + printable(decoded.fault, 1000) + "\n";
    return out;
}

std::string parked_page_json(parked_details&& found, const config::model& model) {
    json shown = json::parse(parked_json({{found.row}, 0, {}}))["rows"][0];
    shown["slot"] = found.slot;
    shown["updated_at"] = found.updated_at;
    shown["xid"] = found.xid;
    shown["committed_at"] = found.committed_at;
    const decoded_row decoded = decode(std::move(found.stored), model);
    shown["columns"] = json::object();
    for (const shown_column& one : decoded.columns)
        shown["columns"][one.name] = one.value ? json(*one.value) : json(nullptr);
    shown["deliveries"] = json::array();
    for (const shown_delivery& one : decoded.deliveries) {
        const bool deep = nests_deeper(one.line, deepest_shown);
        shown["deliveries"].push_back(deep ? json(one.line)
                                           : json::parse(one.line, nullptr, false));
    }
    shown["fault"] = decoded.fault.empty() ? json(nullptr) : json(decoded.fault);
    return shown.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace walrelay::cli
