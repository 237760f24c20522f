// Runs one coroutine to its end, for commands that do one thing and exit.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>

namespace walrelay::cli {

/// Rethrows what the task throws.
inline void run_task(boost::asio::io_context& loop, boost::asio::awaitable<void> task) {
    std::exception_ptr failure;
    auto keep_failure = [&failure](std::exception_ptr thrown) { failure = thrown; };
    boost::asio::co_spawn(loop, std::move(task), keep_failure);
    loop.run();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace walrelay::cli
