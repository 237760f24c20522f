// What is kept in order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace walrelay::engine {

/// A row of walrelay.parked.
using aside_id = std::int64_t;

/// Names a lane within a sink.
struct lane_key {
    enum class kind : std::uint8_t {
        event,     ///< one event without a key; `value` is its delivery
        keyed,     ///< the events of a key; `value` is its hash
        stored,    ///< one set-aside row without a key; `value` is its id
        redriven,  ///< set-aside rows of a key that are sent again beside the key's own lane
    };

    std::uint64_t value = 0;
    kind what = kind::event;

    /// Its events come from the store: it is in no live lane.
    [[nodiscard]] bool beside() const noexcept {
        return what == kind::stored || what == kind::redriven;
    }

    friend bool operator==(lane_key, lane_key) = default;
};

struct lane_key_hash {
    std::size_t operator()(lane_key key) const noexcept {
        return key.value ^ (static_cast<std::size_t>(key.what) * 0x9E3779B97F4A7C15U);
    }
};

}  // namespace walrelay::engine
