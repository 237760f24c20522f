#include <algorithm>
#include <set>

#include "address.hpp"
#include "header_name.hpp"
#include "quantity.hpp"
#include "sections.hpp"

namespace walrelay::config {

namespace {

using namespace std::chrono_literals;

void read_headers(const place& where, std::vector<std::pair<std::string, std::string>>& out) {
    const auto entries = where.entries();
    if (!entries) return;
    std::set<std::string> seen;
    for (const auto& [name, at] : *entries) {
        if (!is_header_name(name)) {
            at.key_problem(
                "not a header name; expected letters, digits and any of !#$%&'*+-.^_`|~");
        } else if (is_reserved_header(name)) {
            at.key_problem(
                "this header can't be set: it is hop-by-hop, frames the request, or is the relay's "
                "own (webhook-*, x-walrelay-*)");
        } else if (!seen.insert(lower_case(name)).second) {
            at.key_problem("duplicate header; names are compared without case");
        }
        const auto value = at.text();
        if (!value) continue;
        const bool control = std::any_of(value->text.begin(), value->text.end(), [](char c) {
            return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
        });
        if (control)
            at.problem("a header's value may hold no control characters, such as line breaks");
        out.emplace_back(name, value->text);
    }
}

/// Bytes that padded base64 (RFC 4648, section 4) stands for; nothing if it isn't that.
std::optional<std::size_t> base64_bytes(std::string_view text) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (text.size() % 4 != 0) return std::nullopt;
    const std::string_view body = text.substr(0, text.find_last_not_of('=') + 1);
    const std::size_t padding = text.size() - body.size();
    if (padding > 2 || body.find_first_not_of(digits) != std::string_view::npos)
        return std::nullopt;
    // The bits behind the last byte must be 0: some decoders refuse others.
    const std::size_t unused = padding == 1 ? 0x3 : padding == 2 ? 0xF : 0;
    if (!body.empty() && (digits.find(body.back()) & unused) != 0) return std::nullopt;
    return text.size() / 4 * 3 - padding;
}

bool is_signing_secret(std::string_view text) {
    constexpr std::string_view prefix = "whsec_";
    constexpr std::size_t least_bytes = 24;  // Standard Webhooks: 24 to 64
    constexpr std::size_t most_bytes = 64;
    if (!text.starts_with(prefix)) return false;
    const auto size = base64_bytes(text.substr(prefix.size()));
    return size && *size >= least_bytes && *size <= most_bytes;
}

void read_signing(const place& where, std::vector<std::string>& out) {
    const auto secrets = where.texts("a secret or a list of secrets");
    if (!secrets) return;
    for (const auto& [at, secret] : *secrets) {
        if (!is_signing_secret(secret.text)) {
            at.problem("expected whsec_ and the base64 of 24 to 64 bytes (the value is not shown)");
        }
        out.push_back(secret.text);
    }
}

/// "2xx", "409" or "200-204".
std::optional<status_range> parse_status_range(std::string_view text) {
    constexpr int least = 200;  // 1xx are not answers
    constexpr int most = 599;
    const auto code = [](std::string_view digits) {
        const auto number = digits.size() == 3 ? parse_whole_number(digits) : std::nullopt;
        return number ? static_cast<int>(*number) : 0;
    };
    status_range out;
    if (text.size() == 3 && text.ends_with("xx")) {
        out.first = (text.front() - '0') * 100;
        out.last = out.first + 99;
    } else if (text.size() == 7 && text[3] == '-') {
        out = {code(text.substr(0, 3)), code(text.substr(4))};
    } else {
        out = {code(text), code(text)};
    }
    if (out.first < least || out.last > most || out.first > out.last) return std::nullopt;
    return out;
}

/// "500/s", "100/m" or "10/h".
std::optional<request_rate> parse_rate(std::string_view text) {
    constexpr std::uint64_t most = 1'000'000;
    const std::size_t slash = text.find('/');
    const auto count = parse_whole_number(text.substr(0, slash));
    if (slash == std::string_view::npos || !count || *count < 1 || *count > most)
        return std::nullopt;
    const std::string_view unit = text.substr(slash + 1);
    if (unit == "s") return request_rate{*count, 1s};
    if (unit == "m") return request_rate{*count, 1min};
    if (unit == "h") return request_rate{*count, 1h};
    return std::nullopt;
}

void read_rate(const place& where, request_rate& out) {
    const auto text = where.text("a rate, such as 500/s");
    if (!text) return;
    if (const auto rate = parse_rate(text->text)) {
        out = *rate;
    } else {
        where.problem(
            "expected 1 to 1000000 requests a second, minute or hour, as in 500/s, 100/m or 10/h; "
            "got " +
            text->shown());
    }
}

void read_success(const place& where, std::vector<status_range>& out) {
    const auto items = where.items("a list such as [2xx, 409, 200-204]");
    if (!items) return;
    out.clear();
    for (const place& at : *items) {
        const auto text = at.text("a status code");
        if (!text) continue;
        if (const auto range = parse_status_range(text->text)) {
            out.push_back(*range);
        } else {
            at.problem(
                "expected 2xx (to 5xx), a status code from 200 to 599, or a range of them as in "
                "200-204; "
                "got " +
                text->shown());
        }
    }
}

/// The file behind a key of `tls:`; empty if there is none.
std::string read_path(const section& keys, std::string_view key) {
    const place* const at = keys.find(key);
    if (at == nullptr) return {};
    auto path = at->text("the path of a PEM file");
    if (!path) return {};
    if (path->text.empty()) at->problem("expected the path of a PEM file, got an empty string");
    return std::move(path->text);
}

void read_tls(const place& where, tls_files& out) {
    const section keys{where, {"ca", "cert", "key"}};
    out = {read_path(keys, "ca"), read_path(keys, "cert"), read_path(keys, "key")};
    if ((keys.find("cert") == nullptr) != (keys.find("key") == nullptr)) {
        where.key_problem("cert and key go together: the client's certificate and its private key");
    }
}

}  // namespace

void read_http_sink(const place& where, http_sink& out) {
    const section keys{where,
                       {"url", "headers", "signing", "timeout", "connections", "rate", "success",
                        "tls", "metadata"}};
    const place* const tls = keys.find("tls");
    if (tls != nullptr) read_tls(*tls, out.tls);
    if (const place* const at = keys.require("url")) {
        if (auto text = at->text("a URL")) {
            const auto traits = check_url(text->text);
            if (!traits) {
                at->problem(template_fault(traits.error(), text->secret));
            } else if (tls != nullptr && !traits->https) {
                tls->key_problem("certificates have no use with an http URL; use https");
            } else if (!traits->https && !traits->loopback) {
                at->warning(
                    "events, headers and their secrets leave this host without encryption; use "
                    "https");
            }
            // Where requests go, and the '/' or '?' behind it, is no secret: else no error could
            // say which endpoint is away.
            if (traits) out.shown_url = text->masked(traits->path_start + 1);
            out.url = std::move(text->text);
        }
    }
    if (const place* const at = keys.find("headers")) read_headers(*at, out.headers);
    if (const place* const at = keys.find("signing")) read_signing(*at, out.signing);
    if (const place* const at = keys.find("timeout")) at->read(out.timeout, 100ms, 10min);
    if (const place* const at = keys.find("connections")) {
        std::uint64_t connections = out.connections;
        at->read(connections, 1, 10'000);
        out.connections = static_cast<std::uint32_t>(connections);
    }
    if (const place* const at = keys.find("rate")) read_rate(*at, out.rate);
    if (const place* const at = keys.find("success")) read_success(*at, out.success);
    if (const place* const at = keys.find("metadata")) at->read(out.metadata);
}

}  // namespace walrelay::config
