#include <algorithm>
#include <set>

#include "debezium_option.hpp"
#include "header_name.hpp"
#include "sections.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::config {

namespace {

std::optional<std::string> read_column(const place& where) {
    auto text = where.text("a column's name");
    if (!text) return std::nullopt;
    if (!is_sql_name(text->text)) {
        where.problem("expected a column's name of 1 to 63 bytes, got " + text->shown());
    } else if (text->text.starts_with('{') && text->text.ends_with('}')) {
        where.problem("expected the bare name of one column, without braces, got " + text->shown());
    }
    return std::move(text->text);
}

/// What a request would be refused for in every row; empty if nothing.
std::string fault_at_http(const std::string& name, std::span<const http_sink* const> http) {
    if (http.empty()) return {};
    if (!is_header_name(name)) {
        return "not a header name for HTTP; expected letters, digits and any of !#$%&'*+-.^_`|~";
    }
    if (is_reserved_header(name) || lower_case(name) == "authorization") {
        return "a row can't set this header at an HTTP sink: it is hop-by-hop, frames the request, "
               "or belongs to the sink or the relay (authorization, webhook-*, x-walrelay-*)";
    }
    for (const http_sink* const sink : http) {
        for (const auto& [set, value] : sink->headers) {
            if (lower_case(set) == lower_case(name))
                return "an HTTP sink of this route sets this header already";
        }
    }
    return {};
}

void read_header_values(const place& where, std::span<const http_sink* const> http,
                        mapped_shape& out) {
    constexpr std::size_t most_headers = 64;  // each is written again for every row
    const auto entries = where.entries();
    if (!entries) return;
    if (entries->size() > most_headers) where.key_problem("more than 64 headers");
    std::set<std::string> seen;
    for (const auto& [name, at] : *entries) {
        const bool control = std::any_of(name.begin(), name.end(), [](char c) {
            return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
        });
        if (name.empty() || control) {
            at.key_problem("a header's name is not empty and holds no control characters");
        } else if (std::string fault = fault_at_http(name, http); !fault.empty()) {
            at.key_problem(std::move(fault));
        } else if (!seen.insert(lower_case(name)).second && !http.empty()) {
            at.key_problem("duplicate header; HTTP compares names without case");
        }
        const auto text = read_template(at);
        if (!text) continue;
        out.header_values.emplace_back(name, text->text);
        if (text->secret) out.secret_headers.insert(name);
    }
}

mapped_shape debezium_defaults() {
    mapped_shape shape;
    shape.id = "{id}";
    shape.key = "{aggregateid}";
    shape.payload = "payload";
    shape.debezium = true;
    return shape;
}

void read_id(const place& where, mapped_shape& out) {
    auto text = read_template(where);
    if (!text) return;
    const auto parts = parse_template(text->text);
    if (std::none_of(parts->begin(), parts->end(),
                     [](const auto& part) { return part.is_column; })) {
        where.problem(
            "the id must hold a {column}: with the same id for all rows, consumers drop all but "
            "the first");
    }
    out.id = std::move(text->text);
}

void read_template_into(const section& keys, std::string_view key,
                        std::optional<std::string>& out) {
    const place* const at = keys.find(key);
    if (at == nullptr) return;
    if (auto text = read_template(*at)) out = std::move(text->text);
}

}  // namespace

void read_shape(const place& where, std::span<const http_sink* const> http,
                decltype(route::shape)& out) {
    constexpr std::string_view expected =
        "debezium, or a map such as { key: \"{customer_id}\", payload: body }";
    if (where.kind() == node_kind::list) return where.wrong_type(expected);
    if (where.kind() == node_kind::scalar) {
        const auto name = where.text();
        if (!name) return;
        if (name->text != "debezium") {
            return where.problem("expected " + std::string{expected} + ", got " + name->shown());
        }
        out = debezium_defaults();
        return;
    }
    const section keys{
        where, {"like", "id", "key", "type", "payload", "headers"}, {}, debezium_option_hint};
    const place* const like = keys.find("like");
    if (like != nullptr) static_cast<void>(like->choice({"debezium"}));
    mapped_shape& shape =
        out.emplace<mapped_shape>(like != nullptr ? debezium_defaults() : mapped_shape{});
    if (const place* const at = keys.find("id")) read_id(*at, shape);
    read_template_into(keys, "key", shape.key);
    read_template_into(keys, "type", shape.type);
    const place* const payload = like != nullptr ? keys.find("payload") : keys.require("payload");
    if (payload != nullptr) shape.payload = read_column(*payload).value_or("");
    if (const place* const at = keys.find("headers")) {
        if (at->kind() == node_kind::map) {
            read_header_values(*at, http, shape);
        } else {
            shape.headers = read_column(*at);
        }
    }
}

}  // namespace walrelay::config
