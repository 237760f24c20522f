// What the store knows of events that are read again.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "walrelay/engine/set_aside.hpp"

namespace walrelay::engine {

/// The rows of the store at or above the slot's position, as they were when the stream started.
/// Looked up in the order of the stream: one comparison an event, and none once the stream has
/// passed the last of them.
class aside_merge {
public:
    /// Ordered by place.
    void start(std::vector<aside_entry> entries);

    [[nodiscard]] bool over() const noexcept { return next_ == entries_.size(); }

    /// The rows of one event. `place` is never before that of an earlier call.
    [[nodiscard]] std::span<const aside_entry> at(stream_place place);

    /// A row of this lane was sent since, so that what entries_ say of it is past.
    void note_fed(std::size_t sink, lane_key lane, stream_place place);
    /// It was refused for good then: it is parked, and not sent again.
    void note_parked(std::size_t sink, stream_place place);
    /// This row, or a newer one of its lane, was sent since.
    [[nodiscard]] bool fed(std::size_t sink, lane_key lane, stream_place place) const;

private:
    std::vector<aside_entry> entries_;
    std::size_t next_ = 0;
    std::vector<std::unordered_map<lane_key, stream_place, lane_key_hash>> fed_;  ///< by sink
};

/// The row of one sink, or of none, among those of an event. An event that no route took counts
/// for each sink that has no row of its own.
[[nodiscard]] const aside_entry* row_for(std::span<const aside_entry> rows,
                                         std::optional<std::size_t> sink);

}  // namespace walrelay::engine
