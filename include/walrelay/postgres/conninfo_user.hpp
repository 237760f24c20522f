// The role that a connection string logs in as, without connecting.
#pragma once

#include <string>

#include "walrelay/core/result.hpp"

namespace walrelay::postgres {

/// As libpq decides it: user= of the string, PGUSER, or the name of the operating system's user. A
/// failure never quotes the string, which may hold a password.
[[nodiscard]] result<std::string> conninfo_user(const std::string& conninfo);

}  // namespace walrelay::postgres
