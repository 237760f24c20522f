// One event on its way to one sink, and the pool that holds them all.
#pragma once

#include <cstdint>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/core/clock.hpp"
#include "walrelay/engine/lane_key.hpp"
#include "walrelay/engine/outcome.hpp"

namespace walrelay::engine {

/// Names an event from row() until it is released. Slots are used again.
using event_slot = std::uint32_t;
/// Names a delivery in the pool; attempt_token::slot.
using delivery_index = std::uint32_t;

inline constexpr delivery_index no_delivery = UINT32_MAX;

struct delivery {
    enum class state : std::uint8_t {
        unused,
        ready,      ///< in its sink's queue of what can be sent now
        gated,      ///< in the queue of a topic or URL that stalls
        waiting,    ///< in its lane, behind the lane's head, or the head of a lane that backs off
        in_flight,  ///< an attempt is on the wire
        leaving,    ///< on its way to the store: resolved when it is durable there
    };

    struct links {
        delivery_index previous = no_delivery;
        delivery_index next = no_delivery;
    };

    event_slot event = 0;
    std::uint32_t serial = 0;    ///< of the last attempt; never goes back while the pool lives
    std::uint32_t attempts = 0;  ///< on the wire, this one included
    std::uint32_t bytes = 0;     ///< that its event holds
    std::uint16_t sink = 0;
    std::uint8_t refusals = 0;  ///< outcomes that blamed the event itself
    state now = state::unused;
    lane_key lane_of;     ///< the lane that it is in, or would be in
    aside_id stored = 0;  ///< its row in the store; 0: it came from the stream
    config::error_policy on_event_error = config::error_policy::park;
    bool in_lane = false;
    bool orphaned = false;    ///< its stream is gone: the outcome only frees it
    bool sink_probe = false;  ///< the one attempt that a stalled sink makes
    bool target_probe = false;
    bool sent_alone = false;
    bool suspect = false;  ///< was in a batch that was refused
    std::uint64_t target_hash = 0;
    links order;  ///< all unresolved deliveries of the sink, in source order
    links queue;  ///< the ready or gated queue
    links lane;   ///< the deliveries of the lane, in source order

    [[nodiscard]] bool keyed() const noexcept { return lane_of.what == lane_key::kind::keyed; }
};

using delivery_pool = std::vector<delivery>;

/// A FIFO threaded through a pool by one of the link members: nothing is allocated, any element
/// leaves in constant time.
template <delivery::links delivery::*Links>
class delivery_list {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == no_delivery; }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    [[nodiscard]] delivery_index front() const noexcept { return first_; }

    static delivery_index after(const delivery_pool& pool, delivery_index at) {
        return (pool[at].*Links).next;
    }

    void push_back(delivery_pool& pool, delivery_index at) {
        pool[at].*Links = {last_, no_delivery};
        (last_ == no_delivery ? first_ : (pool[last_].*Links).next) = at;
        last_ = at;
        ++size_;
    }

    void push_front(delivery_pool& pool, delivery_index at) {
        pool[at].*Links = {no_delivery, first_};
        (first_ == no_delivery ? last_ : (pool[first_].*Links).previous) = at;
        first_ = at;
        ++size_;
    }

    void remove(delivery_pool& pool, delivery_index at) {
        const delivery::links gone = pool[at].*Links;
        (gone.previous == no_delivery ? first_ : (pool[gone.previous].*Links).next) = gone.next;
        (gone.next == no_delivery ? last_ : (pool[gone.next].*Links).previous) = gone.previous;
        pool[at].*Links = {};
        --size_;
    }

    void clear() noexcept { *this = {}; }

private:
    delivery_index first_ = no_delivery;
    delivery_index last_ = no_delivery;
    std::size_t size_ = 0;
};

}  // namespace walrelay::engine
