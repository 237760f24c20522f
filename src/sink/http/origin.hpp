// Where the connections of an HTTP sink go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "walrelay/core/result.hpp"

namespace walrelay::sink::http {

/// Scheme, host and port of a sink's URL: the same for every record.
struct origin {
    bool tls = false;
    std::string host;  ///< a name or an address, an IPv6 one without its brackets
    std::uint16_t port = 80;
    std::string authority;  ///< for the Host header: the port only where it is not the scheme's own

    /// "host:port" for error texts.
    [[nodiscard]] std::string text() const;
};

/// Reads the part of `url` before the path. Refuses user names and passwords in it: they would end
/// up in logs, an authorization header does not. The cause never quotes the URL.
[[nodiscard]] result<origin> parse_origin(std::string_view url);

}  // namespace walrelay::sink::http
