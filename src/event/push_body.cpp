#include "push_body.hpp"

#include <array>
#include <string_view>
#include <utility>

#include "walrelay/core/escape.hpp"

namespace walrelay::event {

namespace {

using kind = pgoutput::value_view::kind;

constexpr std::size_t bytes_of_names = 96;  // of the members, with quotes and commas
constexpr std::size_t longest_escape = 6;   // \u001f for one byte

void append_string(std::string& out, std::string_view text) {
    out += '"';
    append_json_escaped(out, text);
    out += '"';
}

}  // namespace

std::size_t push_bound(const push_columns& from, const row_values& row) noexcept {
    std::size_t bytes =
        bytes_of_names + row[from.attempt].text.size() + row[from.input].text.size();
    for (const slot text : {from.workflow_id, from.name, from.queue, from.key})
        bytes += longest_escape * row[text].text.size();
    return bytes;
}

filled take_push(const push_columns& from, const row_values& row, record& out) {
    for (const slot column :
         {from.workflow_id, from.name, from.queue, from.attempt, from.key, from.input}) {
        const kind what = row[column].what;
        if (what == kind::unchanged_toast) {
            return {.what = filled::state::unchanged_toast, .text = {}, .at = column};
        }
        if (what == kind::null && column != from.key && column != from.input) {
            return {.what = filled::state::null, .text = {}, .at = column};
        }
    }
    out.push = push_view{row[from.workflow_id].text, row[from.attempt].text, row[from.queue].text,
                         row[from.name].text};
    std::string& to = out.scratch;
    const std::size_t start = to.size();
    to += R"({"workflow_id":)";
    append_string(to, out.push->workflow_id);
    to += R"(,"name":)";
    append_string(to, out.push->name);
    to += R"(,"queue":)";
    append_string(to, out.push->queue);
    to += R"(,"attempt":)";
    to += out.push->attempt;
    to += R"(,"key":)";
    if (row[from.key].what == kind::null) {
        to += "null";
    } else {
        append_string(to, row[from.key].text);
    }
    to += R"(,"input":)";
    to += row[from.input].what == kind::null ? std::string_view{"null"} : row[from.input].text;
    to += '}';
    out.body = std::string_view{to}.substr(start);
    out.content_type = "application/json";
    return {};
}

}  // namespace walrelay::event
