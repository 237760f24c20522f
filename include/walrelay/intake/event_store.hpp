// What belongs to each event that the engine tracks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "walrelay/engine/delivery.hpp"
#include "walrelay/event/router.hpp"
#include "walrelay/intake/mark.hpp"
#include "walrelay/pgoutput/frame.hpp"

namespace walrelay::intake {

/// A row with the buffer that brought it. `row` points into the buffer, which stays where it is.
/// Aligned, so that it lies in no more than two lines of a processor's cache.
struct alignas(64) stored_event {
    pgoutput::frame frame;                 ///< none for a message
    std::unique_ptr<std::byte[]> message;  ///< what message_row made, or the store gave
    pgoutput::tuple_view row;
    std::shared_ptr<const event::table_plan>
        plan;  ///< of the table as it was when the row was read
    event::row_position position;
    std::uint16_t route = 0;
    std::uint32_t bytes = 0;     ///< that event_bytes is compared with
    bool redriven = false;       ///< an operator wished it to be sent again
    std::unique_ptr<mark> wish;  ///< of a row of walrelay.redrive; then there is no plan
};

static_assert(sizeof(stored_event) == 2 * alignof(stored_event));

/// Slots are the engine's; a slot's contents are freed when the engine releases it.
class event_store {
public:
    /// The processor fetches a slot's memory meanwhile: of a full window none of it is near.
    void prefetch(engine::event_slot slot) const noexcept {
        if (slot >= events_.size()) return;
        const auto* const lines = reinterpret_cast<const std::byte*>(&events_[slot]);
        __builtin_prefetch(lines, 1);
        __builtin_prefetch(lines + alignof(stored_event), 1);
    }

    void put(engine::event_slot slot, stored_event&& stored) {
        if (slot >= events_.size()) events_.resize(slot + 1);
        events_[slot] = std::move(stored);
    }

    [[nodiscard]] const stored_event& at(engine::event_slot slot) const { return events_.at(slot); }

    /// Slots that were ever used.
    [[nodiscard]] std::size_t size() const noexcept { return events_.size(); }

    void release(engine::event_slot slot) { events_.at(slot) = {}; }

    void clear() noexcept { events_.clear(); }

private:
    std::vector<stored_event> events_;
};

}  // namespace walrelay::intake
