// START_REPLICATION on a connection: CopyData frames in, standby status out.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "walrelay/pgoutput/copy_frame.hpp"
#include "walrelay/pgoutput/frame.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

/// In the buffer that libpq allocated for it.
using frame = pgoutput::frame;

/// Called on the loop's thread.
class stream_handler {
public:
    virtual ~stream_handler() = default;
    /// False: no more frames until resume().
    virtual bool on_frame(frame&& received) = 0;
    /// After each group of frames that were read at once: the time to act on what was gathered.
    virtual void on_burst_end() = 0;
    /// The stream is over, by the server's wish or by a fault; said once, nothing follows. A stream
    /// that is closed by us says nothing. `end.sqlstate` is empty when the server ended it properly
    /// (CommandComplete) and then end.connection_lost is false.
    virtual void on_end(sql_error end) = 0;
    /// A NOTICE or WARNING of the server, in one line.
    virtual void on_server_notice(std::string text) = 0;
};

/// How the socket is read decides what the server's walsender costs: it sends each message by
/// itself, and pays for each wake-up of a reader that sleeps in poll. So, while behind, what is
/// there is read, then nothing for `pause_while_behind`; else the socket is read as soon as it has
/// something, as a single commit should not wait. "Behind": more than `behind_bytes` came within
/// `behind_window`.
struct reading_pace {
    std::chrono::microseconds pause_while_behind{200};
    std::chrono::microseconds behind_window{1000};
    std::size_t behind_bytes = 4 * 1024;
    std::size_t burst_bytes = 1 << 20;  ///< then the rest of the loop gets its turn
};

/// What is asked of the server.
struct stream_request {
    std::string slot;
    std::vector<std::string> publications;
    bool messages = false;   ///< also those of pg_logical_emit_message, under any prefix
    bool temporary = false;  ///< makes the slot first, at the end of the WAL; it goes with the link
};

class replication_stream {
public:
    /// Sends START_REPLICATION SLOT "slot" LOGICAL 0/0 (proto_version '1', publication_names …) and
    /// waits for CopyBoth. Frames flow only after resume(). `handler` outlives the stream.
    static boost::asio::awaitable<sql_result<std::unique_ptr<replication_stream>>> start(
        std::unique_ptr<connection> link, stream_request request, stream_handler& handler,
        reading_pace pace = {});

    virtual ~replication_stream() = default;

    /// Stops reading the socket: the server's back-pressure. Idempotent.
    virtual void pause() = 0;
    virtual void resume() = 0;

    /// Queues a status and sends what the socket takes now; the rest follows when it can. False
    /// when the connection is gone (on_end follows or was said).
    virtual bool send_status(const pgoutput::standby_status& status) = 0;

    /// Whether the server has closed its end; known also while nothing is read.
    [[nodiscard]] virtual bool peer_is_gone() const noexcept = 0;

    /// Ends the stream so that the last status is not lost: what is queued is flushed, the sending
    /// side is shut down, the socket is read raw to its end for at most one second, then closed.
    virtual boost::asio::awaitable<void> close() = 0;

    [[nodiscard]] virtual int backend_pid() const noexcept = 0;
};

}  // namespace walrelay::postgres
