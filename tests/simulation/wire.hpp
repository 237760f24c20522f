// The bytes of the simulated walsender.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "simulation/source_row.hpp"
#include "walrelay/pgoutput/frame.hpp"

namespace walrelay::simulation {

/// What a frame carries, for the world's own account.
struct frame_note {
    enum class kind : std::uint8_t { begin, relation, row, commit, lone_message, keepalive };
    kind what = kind::keepalive;
    lsn position;  ///< commit LSN, end LSN, or walEnd
    row_pointer row;
    bool wants_reply = false;
};

/// CopyData messages as one stream of bytes, read in pieces of any size.
class wire {
public:
    void clear();

    void begin(const source_transaction& unit);
    /// With its Relation message before the first row of a table on this connection, now and then
    /// again.
    void row(const source_transaction& unit, const row_pointer& row, bool with_relation);
    void commit(const source_transaction& unit);
    void lone_message(const source_transaction& unit);
    void keepalive(lsn wal_end, bool reply_requested);

    [[nodiscard]] bool empty() const noexcept { return notes_.empty(); }

    /// The next frame, if `most` more bytes bring one to its end.
    [[nodiscard]] std::optional<std::pair<frame_note, pgoutput::frame>> read(std::size_t most);

    /// What came of a frame that was cut off.
    [[nodiscard]] static pgoutput::frame cut(const pgoutput::frame& whole, std::size_t bytes);

private:
    void put(frame_note note, const std::string& payload);
    void put_data(frame_note note, lsn start, const std::string& message);

    std::string bytes_;
    std::size_t begin_ = 0;    ///< of bytes_: what was read lies before it
    std::size_t arrived_ = 0;  ///< behind begin_: with the reader
    std::deque<frame_note> notes_;
    bool knows_events_ = false;
    bool knows_marks_ = false;
};

}  // namespace walrelay::simulation
