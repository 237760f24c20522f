// Moves CopyData both ways on a connection in COPY BOTH. Private to this folder.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "connection_state.hpp"
#include "walrelay/postgres/replication_stream.hpp"

namespace walrelay::postgres {

/// Shared with the handlers that it queues, so that a stream can be destroyed at any time, also
/// within a call of its own handler.
class stream_pump : public std::enable_shared_from_this<stream_pump> {
public:
    stream_pump(std::unique_ptr<connection> link, std::string slot, stream_handler& handler,
                reading_pace pace);

    void pause() noexcept { paused_ = true; }

    void resume();
    bool send(std::span<const std::byte> message);
    boost::asio::awaitable<void> close();
    /// Closes at once; says nothing. What was not sent is lost.
    void abandon() noexcept;

    [[nodiscard]] int backend_pid() const noexcept { return backend_pid_; }

    [[nodiscard]] bool peer_is_gone() const noexcept;

private:
    enum class phase : unsigned char {
        streaming,
        ending,  ///< the copy is over; its results are being collected
        over,    ///< nothing is said any more
    };
    enum class taken : unsigned char { all, stopped, copy_ended };

    /// What a wake-up of any kind leads to.
    void turn();
    void read();
    taken take_frames(std::size_t& bytes);
    void after_round(std::size_t bytes);
    [[nodiscard]] bool is_behind(std::size_t bytes);
    void collect_end();
    void finish(sql_error end);
    [[nodiscard]] sql_error lost_connection() const;
    void note_lost();

    void flush();
    void write_failed();

    void turn_soon();
    void turn_after_pause();
    void turn_when_readable();
    void flush_when_writable();
    void say_notices();

    std::unique_ptr<connection> link_;
    connection::state& inside_;
    PGconn* const pg_;
    const std::string slot_;
    const int backend_pid_;
    stream_handler* handler_;
    const reading_pace pace_;
    boost::asio::steady_timer pause_timer_;

    time_point window_start_;
    std::size_t window_bytes_ = 0;

    phase phase_ = phase::streaming;
    bool paused_ = true;
    bool discarding_ = false;   ///< paused, and the peer is gone: read on for its last word only
    bool turn_queued_ = false;  ///< posted, or behind the pause timer
    bool waiting_readable_ = false;
    bool waiting_writable_ = false;
    bool lost_ = false;
    std::string lost_cause_;       ///< of the first failure: later texts of libpq say less
    bool ended_properly_ = false;  ///< CommandComplete came
    bool copy_end_sent_ = false;
    std::optional<sql_error> end_;  ///< what the server said at the end
    std::vector<std::string> notices_;
};

}  // namespace walrelay::postgres
