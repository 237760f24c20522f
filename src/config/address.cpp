#include "address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "quantity.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::config {

namespace {

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_ipv4(const std::string& host) {
    in_addr address{};
    return ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

std::optional<in6_addr> ipv6(const std::string& host) {
    in6_addr address{};
    if (::inet_pton(AF_INET6, host.c_str(), &address) != 1) return std::nullopt;
    return address;
}

bool is_host_name(const std::string& host) {
    constexpr std::size_t longest = 253;
    if (host.empty() || host.size() > longest || host.front() == '.' || host.front() == '-')
        return false;
    if (host.find("..") != std::string::npos) return false;
    // What looks like an IPv4 address has to be one: resolvers read "10.1" as 10.0.0.1.
    if (host.find_first_not_of("0123456789.") == std::string::npos) return is_ipv4(host);
    return std::all_of(host.begin(), host.end(), [](char c) {
        return is_alphanumeric(c) || c == '.' || c == '-' || c == '_';
    });
}

error fault(std::string what) {
    return {"read URL", "", std::move(what), ""};
}

/// Path and query as far as they are literal: RFC 3986 pchar, '/', '?', and the braces that a
/// template gives by doubling them.
std::optional<std::string_view> fault_of_literal(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '#') return "a fragment (#) is not sent to servers; leave it out";
        if (c == '%') {
            if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) {
                return "'%' must be followed by two hex digits";
            }
            continue;
        }
        if (!is_alphanumeric(c) &&
            std::string_view{"-._~!$&'()*+,;=:@/?{}"}.find(c) == std::string_view::npos) {
            return "blanks, control characters, non-ASCII and any of \"<>\\^`|[] must be "
                   "percent-encoded";
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<host_port> parse_host_port(std::string_view text) {
    host_port out;
    std::string_view rest;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        out.host = text.substr(1, end - 1);
        rest = text.substr(end + 1);
        if (!ipv6(out.host)) return std::nullopt;
    } else {
        const std::size_t colon = std::min(text.find(':'), text.size());
        out.host = text.substr(0, colon);
        rest = text.substr(colon);
        if (!is_host_name(out.host)) return std::nullopt;
    }
    if (rest.empty()) return out;
    constexpr std::size_t longest_port = 5;
    if (rest.front() != ':' || rest.size() > longest_port + 1) return std::nullopt;
    const auto port = parse_whole_number(rest.substr(1));
    if (!port || *port > 65'535) return std::nullopt;
    out.port = static_cast<std::uint16_t>(*port);
    return out;
}

bool is_loopback(std::string_view text) {
    const std::string host{text};
    if (host == "localhost" || host == "localhost.") return true;
    if (is_ipv4(host)) return host.starts_with("127.");
    const auto address = ipv6(host);
    if (!address) return false;
    if (IN6_IS_ADDR_LOOPBACK(&*address)) return true;
    return IN6_IS_ADDR_V4MAPPED(&*address) && address->s6_addr[12] == 127;
}

result<url_traits> check_url(std::string_view url) {
    url_traits out;
    constexpr std::string_view http = "http://";
    constexpr std::string_view https = "https://";
    if (url.starts_with(https)) {
        out.https = true;
    } else if (!url.starts_with(http)) {
        return fault("expected a URL that begins with http:// or https://");
    }
    const std::size_t start = out.https ? https.size() : http.size();
    const std::size_t end = std::min(url.find_first_of("/?#", start), url.size());
    const std::string_view authority = url.substr(start, end - start);
    if (authority.empty()) return fault("the host is missing, as in http://127.0.0.1:8080/events");
    if (authority.find_first_of("{}") != std::string_view::npos) {
        return fault("scheme, host and port may not hold {column}; path and query may");
    }
    if (authority.find('@') != std::string_view::npos) {
        return fault(
            "user and password are not allowed in a URL; use headers: { authorization: … }");
    }
    const auto address = parse_host_port(authority);
    if (!address || address->port == 0) {
        return fault(
            "expected a host name or address ([…] around IPv6) and a port from 1 to 65535 or none");
    }
    out.loopback = is_loopback(address->host);
    out.path_start = end;
    const auto parts = parse_template(url);
    if (!parts) return parts.error();
    // Part by part: a value can't complete a percent-encoding, because it is encoded itself.
    bool behind_authority = false;
    for (const template_part& part : *parts) {
        if (!part.is_column) {
            const std::string_view literal = part.text;
            const auto wrong = fault_of_literal(behind_authority ? literal : literal.substr(end));
            if (wrong) return fault(std::string{*wrong});
        }
        behind_authority = true;
    }
    return out;
}

}  // namespace walrelay::config
