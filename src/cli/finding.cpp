#include "finding.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

std::size_t how_many(const std::vector<finding>& findings, severity level) {
    return static_cast<std::size_t>(
        std::count_if(findings.begin(), findings.end(),
                      [level](const finding& one) { return one.level == level; }));
}

void append_padded(std::string& out, std::string_view text, std::size_t width) {
    out += text;
    out.append(width > text.size() ? width - text.size() : 0, ' ');
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    append_json_escaped(out, text);
    out += '"';
}

}  // namespace

const char* to_string(severity level) noexcept {
    switch (level) {
        case severity::ok:
            return "ok";
        case severity::info:
            return "info";
        case severity::warns:
            return "warns";
        case severity::stops:
            return "stops";
    }
    return "?";
}

bool any_stops(const std::vector<finding>& findings) noexcept {
    return std::any_of(findings.begin(), findings.end(),
                       [](const finding& one) { return one.level == severity::stops; });
}

std::string findings_as_text(const std::vector<finding>& findings) {
    constexpr std::size_t widest_subject = 32;  // a long table name doesn't push all lines out
    std::size_t subject_width = 0;
    for (const auto& one : findings) {
        subject_width = std::max(subject_width, std::min(one.subject.size(), widest_subject));
    }
    std::string out;
    for (const auto& one : findings) {
        append_padded(out, to_string(one.level), 7);
        append_padded(out, one.subject, subject_width + 2);
        if (one.subject.size() > subject_width) out += "  ";
        out += one.text;
        out += '\n';
        for (const auto& mend : one.mends) {
            out += "         -> ";
            out += mend;
            out += '\n';
        }
    }
    return out;
}

std::string summary(const std::vector<finding>& findings) {
    const auto stops = how_many(findings, severity::stops);
    const auto warns = how_many(findings, severity::warns);
    std::string out = "nothing stops the relay";
    if (stops > 0) {
        out = std::to_string(stops);
        out += stops == 1 ? " finding stops the relay" : " findings stop the relay";
    }
    if (warns > 0) out += ", " + std::to_string(warns) + (warns == 1 ? " warning" : " warnings");
    out += '\n';
    return out;
}

std::string findings_as_json(const std::vector<finding>& findings) {
    std::string out = "[";
    const char* separator = "\n";
    for (const auto& one : findings) {
        out += separator;
        separator = ",\n";
        out += "  {\"severity\": ";
        append_json_string(out, to_string(one.level));
        out += ", \"subject\": ";
        append_json_string(out, one.subject);
        out += ", \"text\": ";
        append_json_string(out, one.text);
        out += ", \"mends\": [";
        for (std::size_t i = 0; i < one.mends.size(); ++i) {
            if (i > 0) out += ", ";
            append_json_string(out, one.mends[i]);
        }
        out += "]}";
    }
    out += findings.empty() ? "]\n" : "\n]\n";
    return out;
}

}  // namespace walrelay::cli
