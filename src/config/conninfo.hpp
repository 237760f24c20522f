// As much of a libpq connection string as a warning needs.
#pragma once

#include <string_view>

namespace walrelay::config {

/// True when `conninfo` (keyword=value or URI) surely connects to another host without verifying
/// it: a host that is neither a socket folder nor loopback, and an sslmode other than verify-full.
/// Not a parser: what libpq wouldn't take either, a service file and PG* variables give false.
[[nodiscard]] bool is_unverified_remote(std::string_view conninfo);

}  // namespace walrelay::config
