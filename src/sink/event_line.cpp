#include "walrelay/sink/event_line.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>

#include "walrelay/core/base64.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/core/json_text.hpp"

namespace walrelay::sink {

namespace {

void append_string(std::string& out, std::string_view text) {
    out += '"';
    append_json_escaped(out, text);
    out += '"';
}

void append_member(std::string& out, std::string_view name, std::optional<std::string_view> text) {
    if (out.back() != '{') out += ',';
    append_string(out, name);
    out += ':';
    if (!text) {
        out += "null";
    } else {
        append_string(out, *text);
    }
}

/// application/json and all types that end in +json, with or without parameters.
bool says_json(std::string_view content_type) {
    std::string type{content_type.substr(0, content_type.find(';'))};
    while (!type.empty() && type.back() == ' ')
        type.pop_back();
    std::transform(type.begin(), type.end(), type.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return type == "application/json" ||
           (type.size() > 5 && type.compare(type.size() - 5, 5, "+json") == 0);
}

void append_payload(std::string& out, const event::record& record) {
    if (record.body && !is_utf8(*record.body)) {
        out += ",\"payload_base64\":\"";
        append_base64(out, *record.body);
        out += '"';
        return;
    }
    if (!record.body || !says_json(record.content_type) || !is_json(*record.body)) {
        append_member(out, "payload", record.body);
        return;
    }
    // Copied, not parsed and written anew: 1.10, 2^70 and repeated keys stay as they are. Inside a
    // string of valid JSON there is no raw line break, so one that is there may become a space.
    out += ",\"payload\":";
    const std::size_t begin = out.size();
    out.append(*record.body);
    std::replace_if(
        out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
        [](char c) { return c == '\n' || c == '\r'; }, ' ');
}

/// A number where it is one: the row gives it as text.
void append_attempt(std::string& out, std::string_view attempt) {
    constexpr std::size_t most_digits = 10;
    const bool digits = !attempt.empty() && attempt.size() <= most_digits &&
                        attempt.front() != '0' &&
                        attempt.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits) return append_member(out, "attempt", attempt);
    out.append(",\"attempt\":").append(attempt);
}

void append_push(std::string& out, const event::push_view& push) {
    out += ",\"workflow\":{";
    append_member(out, "id", push.workflow_id);
    append_attempt(out, push.attempt);
    append_member(out, "queue", push.queue);
    append_member(out, "name", push.name);
    out += '}';
}

void append_header(std::string& out, const event::header_view& header) {
    append_member(out, header.name, header.secret ? "***" : header.value);
}

void append_header(std::string& out,
                   const std::pair<std::string, std::optional<std::string>>& header) {
    append_member(out, header.first, header.second);
}

/// What comes before and after the headers is the same whoever shows a record.
template <class Headers>
void append_record(std::string& out, const event::record& record, std::string_view sink,
                   std::string_view target_name, std::string_view target, const Headers& headers) {
    out += '{';
    append_member(out, "id", record.id);
    append_member(out, "table", record.table);
    append_member(out, "lsn", to_string(record.position.commit_lsn));
    append_member(out, "sink", sink);
    if (!target.empty()) append_member(out, target_name, target);
    append_member(out, "key", record.key);
    append_member(out, "type", record.type);
    if (record.push) append_push(out, *record.push);
    if (record.redriven) out += ",\"redriven\":true";
    out += ",\"headers\":{";
    for (const auto& header : headers)
        append_header(out, header);
    out += '}';
    append_payload(out, record);
    out += "}\n";
}

}  // namespace

void append_line(std::string& out, const event::record& record, std::string_view sink) {
    append_record(out, record, sink, "topic", record.destination, record.headers);
}

void append_line(std::string& out, const event::record& record, std::string_view sink,
                 const preview& shown) {
    append_record(out, record, sink, shown.target_name, shown.target, shown.headers);
}

void append_unsent_line(std::string& out, const unsent_event& event) {
    out += '{';
    append_member(out, "id", event.id);
    append_member(out, "table", event.table);
    append_member(out, "lsn", to_string(event.position.commit_lsn));
    append_member(out, "sink", event.sink);
    append_member(out, "not_sent", event.discarded ? "discarded" : "event_error");
    append_member(out, "reason", event.reason);
    out += "}\n";
}

}  // namespace walrelay::sink
