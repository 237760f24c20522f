#include "url_path.hpp"

#include <algorithm>
#include <cstdint>

namespace walrelay::event {

namespace {

bool unreserved(char c) noexcept {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void append_encoded(std::string& out, std::string_view value) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    for (const char c : value) {
        if (unreserved(c)) {
            out += c;
        } else {
            const auto byte = static_cast<std::uint8_t>(c);
            out += '%';
            out += hex[byte >> 4];
            out += hex[byte & 15];
        }
    }
}

/// Empty, "." or "..", also where the sink map wrote a dot as %2e: browsers' URL rules and many
/// servers read both as dots.
bool vanishes(std::string_view segment) noexcept {
    std::size_t dots = 0;
    while (!segment.empty()) {
        if (segment.front() == '.') {
            segment.remove_prefix(1);
        } else if (segment.starts_with("%2e") || segment.starts_with("%2E")) {
            segment.remove_prefix(3);
        } else {
            return false;
        }
        if (++dots > 2) return false;
    }
    return true;
}

error url_error(std::string cause) {
    return {"read URL", "", std::move(cause), ""};
}

}  // namespace

url_path::url_path(std::vector<row_template::part> parts, std::vector<row_template::part> shown)
    : parts_{std::move(parts)}, shown_{std::move(shown)} {
    constant_ = row_template{parts_}.constant();
}

std::size_t url_path::bound(const row_values& row) const noexcept {
    std::size_t bytes = 0;
    for (const auto* parts : {&parts_, &shown_}) {
        for (const auto& part : *parts) {
            const auto* literal = std::get_if<std::string>(&part);
            bytes += literal != nullptr ? literal->size()
                                        : 3 * row[*std::get_if<slot>(&part)].text.size();
        }
    }
    return bytes;
}

std::string_view url_path::fill_shown(const row_values& row, std::string& out) const {
    const std::size_t start = out.size();
    for (const auto& part : shown_) {
        if (const auto* literal = std::get_if<std::string>(&part)) {
            out += *literal;
        } else {
            append_encoded(out, row[*std::get_if<slot>(&part)].text);
        }
    }
    return std::string_view{out}.substr(start);
}

filled url_path::fill(const row_values& row, std::string& out) const {
    using kind = pgoutput::value_view::kind;
    const std::size_t start = out.size();
    std::size_t segment = start;
    slot from = 0;
    bool from_row = false;  // the segment that is being written holds a value
    bool in_query = false;
    const auto segment_ends = [&] {
        return !from_row || !vanishes(std::string_view{out}.substr(segment));
    };
    for (const auto& part : parts_) {
        if (const auto* literal = std::get_if<std::string>(&part)) {
            for (const char c : *literal) {
                if (!in_query && (c == '/' || c == '?')) {
                    if (!segment_ends())
                        return {.what = filled::state::bad_segment, .text = {}, .at = from};
                    segment = out.size() + 1;
                    from_row = false;
                    in_query = c == '?';
                }
                out += c;
            }
            continue;
        }
        const slot column = *std::get_if<slot>(&part);
        const pgoutput::value_view& value = row[column];
        if (value.what == kind::null)
            return {.what = filled::state::null, .text = {}, .at = column};
        if (value.what == kind::unchanged_toast) {
            return {.what = filled::state::unchanged_toast, .text = {}, .at = column};
        }
        append_encoded(out, value.text);
        from = column;
        from_row = !in_query;
    }
    if (!segment_ends()) return {.what = filled::state::bad_segment, .text = {}, .at = from};
    return {.text = std::string_view{out}.substr(start)};
}

result<std::vector<template_part>> url_path_parts(std::string_view url) {
    const auto scheme = url.find("://");
    if (scheme == std::string_view::npos) return url_error("a URL starts with http:// or https://");
    const std::string_view rest = url.substr(scheme + 3);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    if (url.substr(0, scheme).find_first_of("{}") != std::string_view::npos ||
        authority.find_first_of("{}") != std::string_view::npos) {
        return url_error("only path and query may hold {column}; scheme, host and port are fixed");
    }
    std::string path{rest.substr(authority.size())};
    if (!path.starts_with('/')) path.insert(path.begin(), '/');
    auto parts = parse_template(path);
    if (!parts) return parts;
    for (const template_part& part : *parts) {
        if (part.is_column) continue;
        if (part.text.find('#') != std::string::npos) {
            return url_error("a fragment (#…) is never sent to a server");
        }
        if (std::any_of(part.text.begin(), part.text.end(),
                        [](char c) { return c <= 0x20 || c > 0x7E; })) {
            return url_error(
                "blanks, control characters and bytes outside ASCII must be percent-encoded");
        }
    }
    return parts;
}

std::vector<template_part> shown_path_parts(std::string_view masked_url,
                                            const std::vector<template_part>& sent) {
    auto parts = url_path_parts(masked_url);
    if (!parts) return {{.is_column = false, .text = "/***"}};
    for (template_part& part : *parts) {
        if (std::find(sent.begin(), sent.end(), part) == sent.end() && part.is_column)
            part = {.is_column = false, .text = "***"};
    }
    return std::move(*parts);
}

}  // namespace walrelay::event
