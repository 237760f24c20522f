#include "origin.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "header_rules.hpp"
#include "walrelay/core/header_name.hpp"

namespace walrelay::sink::http {

namespace {

constexpr std::string_view form = "the form is http://host:port/path or https://host/path";

error refuse(std::string cause, std::string_view hint = form) {
    return {"read", "url", std::move(cause), std::string{hint}};
}

/// Letters, digits, '-', '.', '_' for names; hex digits, ':' and '.' inside the brackets of IPv6.
bool is_host(std::string_view host, bool bracketed) noexcept {
    return !host.empty() && std::all_of(host.begin(), host.end(), [&](char c) {
        const bool digit = c >= '0' && c <= '9';
        const bool hex = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (bracketed) return digit || hex || c == ':' || c == '.';
        return digit || letter || c == '-' || c == '.' || c == '_';
    });
}

std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
    std::uint16_t port = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (failure != std::errc{} || end != text.data() + text.size() || port == 0)
        return std::nullopt;
    return port;
}

}  // namespace

std::string origin::text() const {
    const bool bracketed = host.find(':') != std::string::npos;
    return (bracketed ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

result<origin> parse_origin(std::string_view url) {
    const std::size_t scheme_end = url.find("://");
    if (scheme_end == std::string_view::npos) return refuse("has no scheme");
    const std::string_view scheme = url.substr(0, scheme_end);
    origin where;
    where.tls = same_name(scheme, "https");
    if (!where.tls && !same_name(scheme, "http"))
        return refuse("the scheme is neither http nor https");
    const std::uint16_t usual_port = where.tls ? 443 : 80;
    where.port = usual_port;

    std::string_view authority = url.substr(scheme_end + 3);
    authority = authority.substr(0, authority.find_first_of("/?#"));
    if (authority.find('@') != std::string_view::npos) {
        return refuse("holds a user name or password",
                      "put credentials into `headers: { authorization: ... }`");
    }
    const bool bracketed = !authority.empty() && authority.front() == '[';
    const std::size_t host_end = bracketed ? authority.find(']') : authority.find(':');
    if (bracketed && host_end == std::string_view::npos)
        return refuse("the '[' of an IPv6 address is not closed");
    const std::string_view host =
        bracketed ? authority.substr(1, host_end - 1) : authority.substr(0, host_end);
    if (!is_host(host, bracketed))
        return refuse("the host is missing or holds characters that no host has");
    where.host = host;

    std::string_view rest;
    if (host_end != std::string_view::npos) rest = authority.substr(host_end + (bracketed ? 1 : 0));
    if (!rest.empty()) {
        const auto port = rest.front() == ':' ? parse_port(rest.substr(1)) : std::nullopt;
        if (!port) return refuse("the port is not a number from 1 to 65535");
        where.port = *port;
    }
    const std::string named = bracketed ? "[" + where.host + "]" : where.host;
    where.authority = where.port == usual_port ? named : named + ":" + std::to_string(where.port);
    return where;
}

}  // namespace walrelay::sink::http
