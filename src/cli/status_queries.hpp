// The questions that `status` asks a server.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "status_facts.hpp"
#include "walrelay/config/model.hpp"

namespace walrelay::cli {

/// Fills `out`, which like `source` outlives the task; a failure is in out.fault.
boost::asio::awaitable<void> gather_status(boost::asio::any_io_executor loop,
                                           const config::source& source, database_facts& out);

}  // namespace walrelay::cli
