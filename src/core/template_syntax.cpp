#include "walrelay/core/template_syntax.hpp"

#include <cstddef>
#include <cstdint>

namespace walrelay {

namespace {

constexpr std::size_t longest_column_name = 63;  // NAMEDATALEN - 1

error syntax_error(std::size_t offset, std::string_view what) {
    return {"read template", "",
            "at byte offset " + std::to_string(offset) + ": " + std::string{what}, ""};
}

/// What is wrong with the text between two braces; empty if nothing is.
std::string_view fault_of_name(std::string_view name) {
    if (name.empty()) return "{} names no column; write {{ for a brace";
    if (name.size() > longest_column_name) return "a column name has at most 63 bytes";
    for (const char c : name) {
        if (static_cast<std::uint8_t>(c) < 0x20) return "a column name has no control characters";
    }
    return {};
}

void append_literal(std::vector<template_part>& parts, std::string_view text) {
    if (text.empty()) return;
    if (parts.empty() || parts.back().is_column) parts.push_back({false, {}});
    parts.back().text += text;
}

/// Bytes of the character at the start of `text`, which is not empty. Continuation bytes are
/// counted, not checked: for `?` it is enough that well-formed characters are taken whole.
std::size_t character_size(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = byte(0);
    const std::size_t size = lead >= 0xF0 && lead <= 0xF4   ? 4
                             : lead >= 0xE0 && lead <= 0xEF ? 3
                             : lead >= 0xC2 && lead <= 0xDF ? 2
                                                            : 1;
    if (size > text.size()) return 1;
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 1;
    }
    return size;
}

}  // namespace

result<std::vector<template_part>> parse_template(std::string_view text) {
    std::vector<template_part> parts;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t brace = text.find_first_of("{}", at);
        append_literal(parts, text.substr(at, brace - at));
        if (brace == std::string_view::npos) break;
        const bool doubled = brace + 1 < text.size() && text[brace + 1] == text[brace];
        if (doubled) {
            append_literal(parts, text.substr(brace, 1));
            at = brace + 2;
            continue;
        }
        if (text[brace] == '}') {
            return syntax_error(brace, "'}' closes nothing; write }} for a brace");
        }
        const std::size_t end = text.find_first_of("{}", brace + 1);
        if (end == std::string_view::npos || text[end] == '{') {
            return syntax_error(brace, "'{' is not closed; write {column}, or {{ for a brace");
        }
        const std::string_view name = text.substr(brace + 1, end - brace - 1);
        if (const auto fault = fault_of_name(name); !fault.empty()) {
            return syntax_error(brace, fault);
        }
        parts.push_back({true, std::string{name}});
        at = end + 1;
    }
    return parts;
}

std::optional<std::string> constant_text(const std::vector<template_part>& parts) {
    std::string text;
    for (const template_part& part : parts) {
        if (part.is_column) return std::nullopt;
        text += part.text;
    }
    return text;
}

bool glob_matches(std::string_view glob, std::string_view text) noexcept {
    // The last '*' may take ever more of the text; an earlier one never has to, because what
    // stands between two of them matches best as far left as it can. So one way back is enough.
    std::size_t g = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;
    std::size_t star_ends = 0;  // in text: where the run of the last '*' ends
    while (t < text.size()) {
        if (g < glob.size() && glob[g] == '*') {
            star = g++;
            star_ends = t;
        } else if (g < glob.size() && glob[g] == '?') {
            t += character_size(text.substr(t));
            ++g;
        } else if (g < glob.size() && glob[g] == text[t]) {
            ++g;
            ++t;
        } else if (star != std::string_view::npos) {
            star_ends += character_size(text.substr(star_ends));
            t = star_ends;
            g = star + 1;
        } else {
            return false;
        }
    }
    while (g < glob.size() && glob[g] == '*')
        ++g;
    return g == glob.size();
}

}  // namespace walrelay
