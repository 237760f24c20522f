// What is told to the walsender, and when.
#pragma once

#include <cstdint>
#include <optional>

#include "walrelay/core/clock.hpp"
#include "walrelay/core/lsn.hpp"

namespace walrelay::engine {

/// A standby status without its clock. flushed 0 confirms nothing.
struct status_message {
    lsn written;
    lsn flushed;

    friend bool operator==(const status_message&, const status_message&) = default;
};

/// A status goes out at least every period (whatever the sinks do: a server that hears nothing
/// closes the connection), at once when the server asks, and when the record has moved; never more
/// than one in ten milliseconds, so that a stopping server's ping-pong can't burn a core.
class feedback {
public:
    /// A new connection. `period`: at most a third of wal_sender_timeout. `same_history`: what was
    /// acknowledged before still bounds what is acknowledged now.
    void restart(duration period, bool same_history, time_point now);

    /// A keepalive of the server.
    void heard(lsn wal_end, bool reply_requested, time_point now);

    /// A row or commit of the server: it isn't waiting for us to let it stop.
    void heard_data() noexcept { asked_in_a_row_ = 0; }

    /// The status to send now. `idle`: nothing is unresolved.
    [[nodiscard]] std::optional<status_message> due(lsn received, lsn safe, lsn recorded, bool idle,
                                                    time_point now, bool at_once = false);

    /// The server asks again and again for a reply at the same position: it wants to stop, and
    /// waits for the end of its WAL to be confirmed.
    [[nodiscard]] bool server_wants_to_stop() const noexcept { return asked_in_a_row_ >= 4; }

    /// The highest position that this process has acknowledged.
    [[nodiscard]] lsn acked() const noexcept { return highest_acked_; }

    [[nodiscard]] lsn wal_end() const noexcept { return wal_end_; }

    [[nodiscard]] time_point wake_at(lsn recorded) const noexcept;

private:
    duration period_ = std::chrono::seconds{10};
    time_point last_sent_{};
    bool reply_due_ = false;
    lsn acked_;          ///< on this connection
    lsn highest_acked_;  ///< of this process
    lsn wal_end_;        ///< the newest that the server told
    std::uint32_t asked_in_a_row_ = 0;
    time_point asked_since_{};
};

}  // namespace walrelay::engine
