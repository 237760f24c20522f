#include "stdout_line.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "walrelay/core/escape.hpp"

namespace walrelay::sink {

namespace {

void append_string(std::string& out, std::string_view text) {
    out += '"';
    append_json_escaped(out, text);
    out += '"';
}

void append_member(std::string& out, std::string_view name, std::optional<std::string_view> text) {
    out.append(out.back() == '{' ? "\"" : ",\"").append(name).append("\":");
    if (!text) {
        out += "null";
    } else {
        append_string(out, *text);
    }
}

void append_base64(std::string& out, std::string_view bytes) {
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto byte = [&](std::size_t i) -> std::uint32_t {
        return i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0U;
    };
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
        for (std::size_t digit = 0; digit < 4; ++digit) {
            const bool padding = i + digit > bytes.size();
            out += padding ? '=' : alphabet[group >> (18 - 6 * digit) & 0x3F];
        }
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
    if (!record.body || !says_json(record.content_type) || !nlohmann::json::accept(*record.body)) {
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

}  // namespace

void append_line(std::string& out, const event::record& record, std::string_view sink) {
    out += '{';
    append_member(out, "id", record.id);
    append_member(out, "table", record.table);
    append_member(out, "lsn", to_string(record.position.commit_lsn));
    append_member(out, "sink", sink);
    if (!record.destination.empty()) append_member(out, "topic", record.destination);
    append_member(out, "key", record.key);
    append_member(out, "type", record.type);
    out += ",\"headers\":{";
    for (const auto& header : record.headers)
        append_member(out, header.name, header.value);
    out += '}';
    append_payload(out, record);
    out += "}\n";
}

}  // namespace walrelay::sink
