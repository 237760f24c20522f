#include "conninfo.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "address.hpp"

namespace walrelay::config {

namespace {

using parameters = std::map<std::string, std::string, std::less<>>;

constexpr std::string_view blanks = " \t\r\n\f\v";

void skip_blanks(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
}

/// A value as in libpq 34.1.1.1: up to a blank, or in single quotes; a backslash takes the next
/// character as it is.
std::optional<std::string> take_value(std::string_view& text) {
    std::string value;
    const bool quoted = text.starts_with('\'');
    if (quoted) text.remove_prefix(1);
    while (!text.empty()) {
        char c = text.front();
        if (quoted ? c == '\'' : blanks.find(c) != std::string_view::npos) break;
        text.remove_prefix(1);
        if (c == '\\') {
            if (text.empty()) return value;
            c = text.front();
            text.remove_prefix(1);
        }
        value += c;
    }
    if (!quoted) return value;
    if (text.empty()) return std::nullopt;
    text.remove_prefix(1);
    return value;
}

std::optional<parameters> parse_keywords(std::string_view text) {
    parameters out;
    for (skip_blanks(text); !text.empty(); skip_blanks(text)) {
        const std::size_t end = text.find_first_of(" \t\r\n\f\v=");
        if (end == std::string_view::npos) return std::nullopt;
        std::string name{text.substr(0, end)};
        text.remove_prefix(end);
        skip_blanks(text);
        if (!text.starts_with('=')) return std::nullopt;
        text.remove_prefix(1);
        skip_blanks(text);
        auto value = take_value(text);
        if (!value) return std::nullopt;
        out[std::move(name)] = std::move(*value);
    }
    return out;
}

int hex_value(char c) {
    constexpr std::string_view digits = "0123456789abcdef0123456789ABCDEF";
    const std::size_t at = digits.find(c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at % 16);
}

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
            hex_value(text[i + 2]) >= 0) {
            out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

/// One element of a separated list, which is taken off the front of `text`.
std::string_view take_item(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return item;
}

parameters parse_uri(std::string_view text) {
    parameters out;
    const std::size_t end = std::min(text.find_first_of("/?"), text.size());
    std::string_view hosts = text.substr(0, end);
    hosts.remove_prefix(hosts.rfind('@') + 1);  // npos + 1 is 0
    std::string names;
    while (!hosts.empty()) {
        std::string_view host = take_item(hosts, ',');
        const std::size_t bracket = host.starts_with('[') ? host.find(']') : std::string_view::npos;
        host = bracket == std::string_view::npos ? host.substr(0, host.find(':'))
                                                 : host.substr(1, bracket - 1);
        names += (names.empty() ? "" : ",") + percent_decoded(host);
    }
    out["host"] = std::move(names);
    const std::size_t question = text.find('?', end);
    if (question == std::string_view::npos) return out;
    std::string_view query = text.substr(question + 1);
    while (!query.empty()) {
        std::string_view pair = take_item(query, '&');
        const std::string_view name = take_item(pair, '=');
        out[percent_decoded(name)] = percent_decoded(pair);
    }
    return out;
}

bool has_remote_host(std::string_view hosts) {
    while (!hosts.empty()) {
        const std::string_view host = take_item(hosts, ',');
        const bool socket = host.empty() || host.front() == '/' || host.front() == '@';
        if (!socket && !is_loopback(host)) return true;
    }
    return false;
}

}  // namespace

bool is_unverified_remote(std::string_view conninfo) {
    std::optional<parameters> known;
    for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
        if (conninfo.starts_with(scheme)) known = parse_uri(conninfo.substr(scheme.size()));
    }
    if (!known) known = parse_keywords(conninfo);
    if (!known) return false;
    const auto value = [&](std::string_view name) {
        const auto found = known->find(name);
        return found == known->end() ? std::string_view{} : std::string_view{found->second};
    };
    if (value("sslmode") == "verify-full") return false;
    // libpq 16: the system's authorities are only trusted together with the host name.
    if (value("sslrootcert") == "system") return false;
    return has_remote_host(value("host")) || has_remote_host(value("hostaddr"));
}

}  // namespace walrelay::config
