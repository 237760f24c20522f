#include "walrelay/sink/event_text.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "walrelay/core/base64.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::sink {

namespace {

constexpr std::size_t label_width = 9;

std::string safe(std::string_view text) {
    return printable(text, text.size());
}

void append_label(std::string& out, std::string_view label) {
    out.append("    ").append(label);
    out.append(label.size() < label_width ? label_width - label.size() : 1, ' ');
}

void append_value(std::string& out, std::string_view label, std::optional<std::string_view> text) {
    append_label(out, label);
    out.append(text ? safe(*text) : "NULL").append("\n");
}

/// Line breaks stay: the lines that follow begin under the first. All other control characters of a
/// row could move the cursor or hide what else stands there.
void append_lines(std::string& out, std::string_view text) {
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        if (begin > 0) append_label(out, "");
        out.append(safe(text.substr(begin, end - begin))).append("\n");
        begin = end + 1;
    }
}

void append_body(std::string& out, const event::record& record) {
    if (!record.body) return append_value(out, "body", std::nullopt);
    const std::string_view body = *record.body;
    append_label(out, "body");
    if (is_utf8(body)) return append_lines(out, body);
    out.append(std::to_string(body.size())).append(" bytes in base64: ");
    append_base64(out, body);
    out += '\n';
}

std::string position_text(const event::row_position& position) {
    using origin = event::row_position::origin;
    std::string text = to_string(position.commit_lsn);
    if (position.what == origin::row) return text + " row " + std::to_string(position.ordinal);
    if (position.what == origin::message)
        return text + " message " + std::to_string(position.ordinal);
    return text + " message outside a transaction";
}

}  // namespace

void append_heading(std::string& out, std::string_view table, const event::row_position& position,
                    std::string_view id) {
    out.append(safe(table)).append(" ").append(position_text(position));
    out.append(", id ").append(safe(id)) += '\n';
}

void append_delivery(std::string& out, const event::record& record, std::string_view sink,
                     const preview& shown) {
    out.append("  to ").append(safe(sink)).append(" (").append(shown.kind).append(")\n");
    if (!shown.target_name.empty()) append_value(out, shown.target_name, shown.target);
    append_value(out, "key", record.key);
    append_value(out, "type", record.type);
    std::string_view label = "headers";
    for (const auto& [name, value] : shown.headers) {
        append_label(out, label);
        out.append(safe(name)).append(": ").append(value ? safe(*value) : "NULL").append("\n");
        label = "";
    }
    append_body(out, record);
}

void append_unsent(std::string& out, const unsent_event& event) {
    out.append("  ");
    if (event.sink) out.append("to ").append(safe(*event.sink)).append(": ");
    out.append(event.discarded ? "discarded: " : "event error: ").append(safe(event.reason));
    out += '\n';
}

}  // namespace walrelay::sink
