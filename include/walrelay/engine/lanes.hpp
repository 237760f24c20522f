// The deliveries of one sink: what may be sent next, what waits, and for how long.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "walrelay/core/clock.hpp"
#include "walrelay/engine/delivery.hpp"
#include "walrelay/engine/retry_policy.hpp"

namespace walrelay::engine {

/// How a sink keeps the order of a key; the engine's view of sink::ordering.
enum class lane_depth : std::uint8_t {
    pipelined,  ///< many records of a key in flight; a key gets a lane only after a failure
    serial,     ///< one record of a key in flight: each key with unresolved events has a lane
};

/// What holds a sink, a topic or URL, or a key back; for readiness and status.
struct stall_info {
    enum class scope : std::uint8_t { sink, target, lane };
    scope what = scope::sink;
    delivery_index example = no_delivery;  ///< a delivery that it holds
    std::string reason;
    std::uint32_t failures = 0;
    time_point since{};
    time_point until{};
};

/// Keeps I6: in a lane attempts start in source order, and an event is never first sent while an
/// earlier one of its lane waits to be sent again. A pipelined lane that failed waits for its
/// records in flight and then starts again from the failed one, so that the last record of a key is
/// its newest.
///
/// A stalled sink or target makes one attempt at a time (a probe) when its wait is over; a success
/// opens it. Pure: time and randomness are arguments. Used through the engine.
class lanes {
public:
    lanes(delivery_pool& pool, lane_depth depth) noexcept
        : pool_{pool}, depth_{depth}, laned_{depth == lane_depth::serial} {}

    /// A new delivery, newer than all before it.
    void add(delivery_index at);

    /// What is to be sent now; its attempt has begun. The caller says sent_back() or
    /// attempt_ended().
    [[nodiscard]] std::optional<delivery_index> next(time_point now);
    /// The sink is full: the attempt has not begun after all, and next() gives it again first.
    void sent_back(delivery_index at);

    void set_room(bool room) noexcept { full_ = !room; }

    /// What an outcome led to, for the engine.
    enum class verdict : std::uint8_t { resolved, waits, halt };
    verdict attempt_ended(delivery_index at, const outcome& seen, time_point now,
                          std::uint64_t random);

    /// Forgets every delivery that is not in flight, and hands each to `drop`. Those in flight stay
    /// as orphans. Stalls of sink and targets are kept: what they know of the world is still true.
    void forget(const std::function<void(delivery_index)>& drop);

    /// The earliest time at which next() may give something that it doesn't give now.
    [[nodiscard]] time_point wake_at() const noexcept;

    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }

    [[nodiscard]] std::size_t unresolved() const noexcept { return order_.size(); }

    [[nodiscard]] bool stalled() const noexcept {
        return barrier_.failures > 0 || !targets_.empty();
    }

    /// At most `most`; the sink's own first, then targets, then lanes that have failed.
    [[nodiscard]] std::vector<stall_info> stalls(std::size_t most) const;

    /// Oldest unresolved delivery.
    [[nodiscard]] delivery_index oldest() const noexcept { return order_.front(); }

private:
    using order_list = delivery_list<&delivery::order>;
    using queue_list = delivery_list<&delivery::queue>;
    using lane_list = delivery_list<&delivery::lane>;

    struct lane_key {
        std::uint64_t hash = 0;
        bool keyed = false;  ///< false: the lane of one event without a key; hash is its index
        friend bool operator==(lane_key, lane_key) = default;
    };

    struct lane_key_hash {
        std::size_t operator()(lane_key key) const noexcept {
            return key.hash ^ (key.keyed ? 0 : ~0ULL);
        }
    };

    struct lane {
        lane_list events;
        std::uint32_t in_flight = 0;
        std::uint32_t failures =
            0;                  ///< in a row; > 0: its head is sent alone before the rest goes on
        bool draining = false;  ///< failed, and records of it are still in flight
        bool backing_off = false;  ///< retry_at holds its head
        time_point retry_at{};
        time_point since{};
        std::string reason;
    };

    /// Of the sink, or of one target.
    struct barrier {
        std::uint32_t failures = 0;
        delivery_index probe = no_delivery;  ///< chosen: ready or in flight
        time_point until{};
        time_point since{};
        std::string reason;
        queue_list held;  ///< targets only
    };

    struct retry {
        time_point at;
        lane_key key;

        friend bool operator>(const retry& a, const retry& b) { return a.at > b.at; }
    };

    [[nodiscard]] lane_key key_of(delivery_index at) const;
    [[nodiscard]] lane& lane_of(delivery_index at);
    [[nodiscard]] attempt_history history_of(delivery_index at) const;

    void make_ready(delivery_index at);
    void leave_queue(delivery_index at);
    void start_attempt(delivery_index at);
    void release_due(time_point now);
    [[nodiscard]] bool held_by_target(delivery_index at, time_point now);

    verdict succeeded(delivery_index at);
    void fail_lane(delivery_index at, const outcome& seen, time_point retry_at, time_point now);
    void went_quiet(lane_key key, lane& quiet);
    void resolve(delivery_index at);
    void take_out(delivery_index at);
    void enter_laned_mode();
    void leave_laned_mode();

    void close_barriers(delivery_index at, const outcome& seen, const directive& follows,
                        time_point now);
    void open_sink();
    void open_target(std::uint64_t target);

    delivery_pool& pool_;
    const lane_depth depth_;
    order_list order_;
    queue_list ready_;
    std::unordered_map<lane_key, lane, lane_key_hash> lanes_;
    std::unordered_map<std::uint64_t, barrier> targets_;  ///< those that stall
    barrier barrier_;
    std::priority_queue<retry, std::vector<retry>, std::greater<>> retries_;
    std::size_t in_flight_ = 0;
    std::size_t failed_lanes_ = 0;
    std::size_t suspects_ =
        0;  ///< unresolved records of refused batches; > 0: one record at a time
    time_point targets_due_ = never;  ///< the earliest time at which a stalled target may be probed
    bool full_ = false;               ///< the sink took no more: time alone changes nothing
    bool laned_;  ///< every keyed delivery is in a lane; pipelined: only after a failure
};

}  // namespace walrelay::engine
