// The inside of a connection, which replication_stream shares. Private to this folder.
#pragma once

#include <libpq-fe.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "walrelay/core/clock.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

struct finish_connection {
    void operator()(PGconn* link) const noexcept { PQfinish(link); }
};

struct clear_result {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
};

using link_handle = std::unique_ptr<PGconn, finish_connection>;
using result_handle = std::unique_ptr<PGresult, clear_result>;

/// libpq's handle and what the loop watches of it. Its address is given to libpq (notices), so it
/// stays where it is.
struct connection::state {
    explicit state(const boost::asio::any_io_executor& loop) : socket{loop} {}

    ~state();
    state(const state&) = delete;
    state& operator=(const state&) = delete;

    /// A dup of PQsocket is watched: when the server goes, libpq closes its own descriptor at once,
    /// and the number may soon be another thread's socket.
    [[nodiscard]] bool watch_socket();

    /// Takes the socket out of the loop's epoll set, in which asio has it edge-triggered: otherwise
    /// every message that arrives wakes the loop, also when nobody waits for one. Nothing may be
    /// waiting for the socket.
    void stop_watching();
    void watch_again();

    link_handle link;
    // After `link`, so that it is closed before PQfinish: else the FIN would wait for it.
    boost::asio::posix::stream_descriptor socket;
    int unwatched = -1;  ///< the dup, while `socket` doesn't have it
    std::string where;
    std::function<void(std::string)> on_notice;  ///< nothing: notices are dropped
    bool replication = false;
    /// A query is under way. Its coroutine may outlive the connection when the process ends.
    std::shared_ptr<bool> busy = std::make_shared<bool>(false);
};

/// Waits until the socket can be read or written; false when the deadline came first. A socket with
/// an error or a hang-up counts as ready: libpq then says what it is.
boost::asio::awaitable<bool> wait_for_socket(boost::asio::posix::stream_descriptor& socket,
                                             boost::asio::posix::stream_descriptor::wait_type what,
                                             time_point deadline);

/// A close-on-exec duplicate, or -1.
int duplicate(int descriptor) noexcept;

}  // namespace walrelay::postgres
