// The deliveries of one sink: what may be sent next, what waits, and for how long.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "walrelay/core/clock.hpp"
#include "walrelay/core/stream_place.hpp"
#include "walrelay/engine/delivery.hpp"
#include "walrelay/engine/retry_policy.hpp"
#include "walrelay/engine/set_aside.hpp"

namespace walrelay::engine {

/// How a sink keeps the order of a key; the engine's view of sink::ordering.
enum class lane_depth : std::uint8_t {
    pipelined,  ///< many records of a key in flight; a key gets a lane only after a failure
    serial,     ///< one record of a key in flight: each key with unresolved events has a lane
};

struct lane_options {
    lane_depth depth = lane_depth::serial;
    /// A key that is stuck while others flow is set aside. Only with serial.
    bool holds = false;
    duration hold = std::chrono::seconds{30};
    std::uint64_t heavy_events = 10'000;     ///< half of a limit: a lane may not make it up alone
    std::uint64_t heavy_bytes = 8ULL << 20;  ///< likewise
    retry_limits retries;
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
    bool holds_limits = true;  ///< false: a held key, whose events are in the store
};

/// Keeps I6: in a lane attempts start in source order, and an event is never first sent while an
/// earlier one of its lane waits to be sent again. A pipelined lane that failed waits for its
/// records in flight and then starts again from the failed one, so that the last record of a key is
/// its newest.
///
/// A stalled sink or target makes one attempt at a time (a probe) when its wait is over; a success
/// opens it.
///
/// A held lane has its events in the store. Those that arrive leave for the store behind the
/// others, and what is sent is read from there, oldest first. It is live again when a look into the
/// store finds nothing, with nothing on its way there.
///
/// Pure: time and randomness are arguments. Used through the engine.
class lanes {
public:
    lanes(delivery_pool& pool, const lane_options& options) noexcept
        : pool_{pool},
          options_{options},
          depth_{options.depth},
          laned_{options.depth == lane_depth::serial} {}

    // ---- what the stream brings, and what is sent

    /// A new delivery, newer than all before it on this stream. It may be among leaving()
    /// afterwards.
    void add(delivery_index at, stream_place place);

    /// What is to be sent now; its attempt has begun. The caller says sent_back() or
    /// attempt_ended().
    [[nodiscard]] std::optional<delivery_index> next(time_point now);
    /// The sink is full: the attempt has not begun after all, and next() gives it again first.
    void sent_back(delivery_index at);

    void set_room(bool room) noexcept { full_ = !room; }

    /// The sink is another one than the one that failed: stalls are probed at once.
    void probe_now(time_point now);

    /// An operator's wish: while paused nothing is sent, and nothing is read back.
    void set_paused(bool paused) noexcept { paused_ = paused; }

    [[nodiscard]] bool paused() const noexcept { return paused_; }

    /// What an outcome led to, for the engine. `parked`: the delivery is refused for good, and has
    /// left its lane; the caller writes that to the store.
    enum class verdict : std::uint8_t { resolved, waits, parked, halt };
    verdict attempt_ended(delivery_index at, const outcome& seen, time_point now,
                          std::uint64_t random);

    /// Forgets every delivery that is not in flight, and hands each to `drop`. Those in flight stay
    /// as orphans. Stalls of sink and targets are kept: what they know of the world is still true.
    /// Held lanes are forgotten too.
    void forget(const std::function<void(delivery_index)>& drop);

    // ---- the store

    struct departure {
        delivery_index at = no_delivery;
        aside_state state = aside_state::held;
        bool holds_key = false;
        std::string reason;
    };

    /// Deliveries to be written to the store, in the order of each lane; the caller clears it. Each
    /// ends with departed().
    [[nodiscard]] std::vector<departure>& leaving() noexcept { return leaving_; }

    /// It is durable in the store: resolved.
    void departed(delivery_index at, const aside_put_answer& there);

    /// Deliveries that came from the store and go on waiting there; the caller frees them and
    /// clears it.
    [[nodiscard]] std::vector<delivery_index>& unloaded() noexcept { return unloaded_; }

    /// A lane that the store holds rows of, when a stream starts. `retry_at`: not before.
    void restore(lane_key key, bool waits_for_operator, time_point retry_at = {});
    /// The lane that is to be read from the store next. The caller answers with feed(), for each
    /// row, and loaded().
    [[nodiscard]] std::optional<aside_load> next_load();

    /// next_load() may give some.
    [[nodiscard]] bool wants_loads() const noexcept { return !load_queue_.empty() && !paused_; }

    /// At most so many lanes in memory that wait for a stalled target leave it, and are read again
    /// when the target may be tried. They may be among unloaded() afterwards.
    void make_room(std::size_t most, time_point now);
    /// A row of the lane that is being read.
    void feed(delivery_index at, stream_place place);

    /// The next row of the lane that is being read is parked, and holds the key.
    void block(lane_key key) { held_lane(key).held->waits_for_operator = true; }

    /// The lane that is being read has rows, but there was no room for one: it is read later.
    void no_room(lane_key key) { held_lane(key).held->found_no_room = true; }

    void loaded(lane_key key);
    /// It could not be read: next_load() gives it again.
    void load_failed(lane_key key);

    /// A row that was read back can't be sent at all; what becomes of it is on its way to the
    /// store.
    void refuse_row(lane_key key) { ++held_lane(key).held->changes; }

    /// What became of a row that was fed is durable.
    void changed(lane_key key);
    /// An operator has redriven or dropped rows of this lane.
    void touched(lane_key key);

    [[nodiscard]] bool held(lane_key key) const {
        const auto found = lanes_.find(key);
        return found != lanes_.end() && found->second.held != nullptr;
    }

    [[nodiscard]] std::size_t held_lanes() const noexcept { return held_lanes_; }

    /// Held lanes with rows in memory, or that are being read.
    [[nodiscard]] std::size_t loaded_lanes() const noexcept { return loaded_lanes_; }

    /// This delivery is the oldest of all, and half of what a crash may repeat was read since: if
    /// its lane fails or is slow, that counts as if its events were half of a limit.
    void suspect_of_pinning(delivery_index at);

    // ---- overview

    /// The earliest time at which next() or next_load() may give something that it doesn't give
    /// now.
    [[nodiscard]] time_point wake_at() const noexcept;

    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }

    [[nodiscard]] std::size_t unresolved() const noexcept { return order_.size() + fed_.size(); }

    /// Of these, those that the stream brought.
    [[nodiscard]] std::size_t from_stream() const noexcept { return order_.size(); }

    [[nodiscard]] bool stalled() const noexcept { return barrier_.failures > 0 || targets_stall(); }

    [[nodiscard]] bool targets_stall() const noexcept { return !targets_.empty(); }

    /// At most `most`; the sink's own first, then targets, then lanes that have failed.
    [[nodiscard]] std::vector<stall_info> stalls(std::size_t most) const;

    /// Oldest unresolved delivery that the stream brought; no_delivery when there is none.
    [[nodiscard]] delivery_index oldest() const noexcept { return order_.front(); }

private:
    using order_list = delivery_list<&delivery::order>;
    using queue_list = delivery_list<&delivery::queue>;
    using lane_list = delivery_list<&delivery::lane>;

    /// Of a lane whose events are in the store.
    struct held_part {
        bool waits_for_operator = false;
        bool queued = false;            ///< in load_queue_
        bool loading = false;           ///< being read
        bool found_no_room = false;     ///< for any of its rows
        bool in_memory = false;         ///< counted in loaded_lanes_
        std::deque<stream_place> puts;  ///< of deliveries on their way to the store
        std::uint32_t changes = 0;      ///< outcomes on their way there
        aside_id head = 0;              ///< the row that failed last, with what is known of it
        std::uint32_t attempts = 0;
        std::uint8_t refusals = 0;
        bool suspect = false;
        stream_place loaded_through{};  ///< the newest that is in memory
        /// Something older than what is in memory goes to the store: it was read again. What is on
        /// the wire meanwhile is sent again behind it.
        bool overtaken = false;
    };

    struct lane {
        lane_list events;
        std::uint64_t bytes = 0;
        std::uint32_t in_flight = 0;
        /// In a row; > 0: its head is sent alone before the rest goes on.
        std::uint32_t failures = 0;
        bool draining = false;     ///< failed, and records of it are still in flight
        bool backing_off = false;  ///< retry_at holds its head
        bool pins = false;         ///< see suspect_of_pinning(); until its head is gone
        bool wait_was_asked = false;
        time_point retry_at{};
        time_point since{};      ///< the first failure
        time_point failed_at{};  ///< the last one
        time_point started_at{};
        std::string reason;
        std::unique_ptr<held_part> held;
    };

    /// Of the sink, or of one target.
    struct barrier {
        std::uint32_t failures = 0;
        delivery_index probe = no_delivery;  ///< chosen: ready or in flight
        time_point until{};
        time_point since{};
        time_point failed_at{};
        std::string reason;
        queue_list held;  ///< targets only
    };

    struct retry {
        time_point at;
        lane_key key;

        friend bool operator>(const retry& a, const retry& b) { return a.at > b.at; }
    };

    /// When something succeeded, and when something else did.
    template <class Key>
    struct successes {
        Key last{};
        time_point last_at{};
        time_point other_at{};

        void note(const Key& key, time_point now) {
            if (!(key == last)) other_at = last_at;
            last = key;
            last_at = now;
        }

        [[nodiscard]] time_point beside(const Key& key) const {
            return key == last ? other_at : last_at;
        }
    };

    [[nodiscard]] lane& lane_of(delivery_index at);
    /// Which the store speaks of.
    [[nodiscard]] lane& held_lane(lane_key key);

    [[nodiscard]] bool serial(const lane& one) const noexcept {
        return depth_ == lane_depth::serial || one.held != nullptr;
    }

    /// Nothing is sent beside what is on the wire, to see whom to blame.
    [[nodiscard]] bool one_at_a_time() const noexcept {
        return in_flight_ > 0 && (suspects_ > 0 || alone_);
    }

    // lanes.cpp
    void make_ready(delivery_index at);
    void leave_queue(delivery_index at);
    void start_attempt(delivery_index at, time_point now);
    void enter_laned_mode();
    void leave_laned_mode_if_healed();
    void leave_laned_mode();

    // lanes_outcomes.cpp
    [[nodiscard]] attempt_history history_of(delivery_index at, time_point now) const;
    verdict follow(delivery_index at, const outcome& seen, const directive& follows,
                   time_point now);
    void suspect(delivery_index at);
    void clear_suspicion(delivery_index at);
    void clear_suspicion_of_lane(delivery_index at);
    verdict succeeded(delivery_index at, time_point now);
    void note_success(const delivery& one, time_point now);
    verdict give_up(delivery_index at, const outcome& seen, time_point now);
    void note_failure(lane_key key);
    void fail_lane(delivery_index at, const outcome& seen, time_point retry_at, time_point now);
    void went_quiet(lane_key key, lane& quiet);
    void resolve(delivery_index at, time_point now);
    void leave_lane(delivery_index at);
    void go_on(lane_key key, lane& own);
    void take_out(delivery_index at);

    // lanes_barriers.cpp
    void release_due(time_point now);
    [[nodiscard]] bool held_by_target(delivery_index at, time_point now);
    void close_barriers(delivery_index at, const outcome& seen, const directive& follows,
                        time_point now);
    void open_sink();
    void open_target(std::uint64_t target);

    // lanes_held.cpp
    void hold(lane_key key, time_point retry_at, delivery_index parked = no_delivery,
              std::string reason = {});
    void hold_gated(std::uint64_t target, time_point now, time_point failed_before);
    void retry_heavy(time_point now);
    [[nodiscard]] bool fills_limit(const lane& one) const noexcept;
    [[nodiscard]] bool heavy(const lane& one) const noexcept;
    [[nodiscard]] bool others_flow_beside(lane_key key, const lane& own) const;
    void note_weight(lane_key key, lane& own);
    void depart(delivery_index at, aside_state state, bool holds_key, std::string reason);
    void unload(lane& own);
    void want_load(lane_key key, lane& own);
    void count_in_memory(lane& own);

    delivery_pool& pool_;
    const lane_options options_;
    const lane_depth depth_;
    order_list order_;  ///< what the stream brought
    order_list fed_;    ///< what the store brought
    queue_list ready_;
    std::unordered_map<lane_key, lane, lane_key_hash> lanes_;
    std::unordered_map<std::uint64_t, barrier> targets_;  ///< those that stall
    barrier barrier_;
    std::priority_queue<retry, std::vector<retry>, std::greater<>> retries_;
    std::deque<lane_key> load_queue_;
    std::vector<departure> leaving_;
    /// When one without a key may be tried again, once it is in the store.
    std::unordered_map<delivery_index, time_point> leaving_until_;
    std::vector<delivery_index> unloaded_;
    std::vector<lane_key> heavy_;
    successes<lane_key> lane_successes_;
    successes<std::uint64_t> target_successes_;
    std::array<lane_key, lanes_to_blame_a_sink> failing_{};  ///< in a row, without a success
    std::size_t failing_count_ = 0;
    std::uint32_t parked_in_row_ = 0;  ///< without a success
    std::size_t in_flight_ = 0;
    std::size_t failed_lanes_ = 0;  ///< of those that the stream fills
    std::size_t held_lanes_ = 0;
    std::size_t loaded_lanes_ = 0;
    std::size_t suspects_ = 0;        ///< unresolved records of refused batches
    time_point targets_due_ = never;  ///< the earliest time at which a stalled target may be probed
    bool full_ = false;               ///< the sink took no more: time alone changes nothing
    bool alone_ = false;              ///< what was sent last was sent alone, and stays it
    bool paused_ = false;
    bool laned_;  ///< every keyed delivery is in a lane; pipelined: only after a failure
};

}  // namespace walrelay::engine
