// What every reader of a slot does for the server: the relay as well as `tail`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "walrelay/config/model.hpp"
#include "walrelay/core/clock.hpp"
#include "walrelay/pgoutput/copy_frame.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::relay {

/// For a single look at the server beside the stream.
inline constexpr std::chrono::milliseconds probe_timeout{2000};
/// How often a reader that pauses asks whether the server is stopping.
inline constexpr duration probe_period = std::chrono::seconds{3};

/// How often a status is due: a third of what the walsender waits for, and never more than ten
/// seconds. `sender_timeout_ms` is as the server has it: 0 is off.
[[nodiscard]] duration status_period(std::int64_t sender_timeout_ms);

[[nodiscard]] inline time_point now() {
    return std::chrono::steady_clock::now();
}

/// The wall clock, since 1970.
[[nodiscard]] std::int64_t unix_microseconds();

/// The same for a status.
[[nodiscard]] pgoutput::pg_time pg_now();

/// A connection for a single look: within probe_timeout, and named after `purpose`.
[[nodiscard]] boost::asio::awaitable<postgres::sql_result<std::unique_ptr<postgres::connection>>>
open_to_look(boost::asio::any_io_executor executor, const config::source& source,
             std::string purpose);

/// A server that stops waits until its walsenders have sent all, for ever where nobody reads on,
/// and doesn't tell: only a new connection is refused.
[[nodiscard]] boost::asio::awaitable<bool> server_is_stopping(boost::asio::any_io_executor executor,
                                                              const config::source& source);

}  // namespace walrelay::relay
