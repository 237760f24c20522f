// A libpq connection string taken apart: what to say to libpq, and whom to call. Private to this
// folder.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

/// One way to a server. `host` empty: libpq's default socket folder.
struct endpoint {
    std::string host;
    std::string address;  ///< numeric; empty for a socket, or while the name isn't resolved
    std::string port;     ///< empty: libpq's default

    [[nodiscard]] bool is_socket() const noexcept;
    [[nodiscard]] bool needs_resolving() const noexcept;
    /// "host db (10.0.0.7) port 5432" or "socket /run/postgresql".
    [[nodiscard]] std::string where() const;
};

struct conninfo {
    std::map<std::string, std::string> settings;  ///< all but host, hostaddr and port
    std::vector<endpoint> endpoints;              ///< in the order in which they are tried
};

/// Reads the string in either of libpq's forms, adds the environment's defaults and our pins. The
/// text of a failure never quotes the string: it may hold a password.
sql_result<conninfo> read_conninfo(const connect_options& options);

}  // namespace walrelay::postgres
