// Hosts, ports and URLs as they stand in the sink map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "walrelay/core/result.hpp"

namespace walrelay::config {

struct host_port {
    std::string host;  ///< without the brackets of an IPv6 address
    std::optional<std::uint16_t> port;
};

/// "name", "name:80", "192.0.2.1:80", "[2001:db8::1]:80". Nothing if the host is not a host name or
/// address, or the port not a number up to 65535.
[[nodiscard]] std::optional<host_port> parse_host_port(std::string_view text);

/// True for localhost, 127.0.0.0/8, ::1 and their IPv4-mapped form; names are not looked up.
[[nodiscard]] bool is_loopback(std::string_view host);

struct url_traits {
    bool https = false;
    bool loopback = false;
    std::size_t path_start = 0;  ///< bytes of scheme, host and port
};

/// An absolute http or https URL whose path and query may hold {column} (RFC 3986; strict:
/// lower-case scheme, no userinfo, no fragment, nothing that would have to be encoded). The error's
/// cause says what is wrong and never quotes the URL.
[[nodiscard]] result<url_traits> check_url(std::string_view url);

}  // namespace walrelay::config
