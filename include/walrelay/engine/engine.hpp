// Decides everything, does nothing: which record is sent next, what is tried again, what is set
// aside, when reading pauses, what is recorded and acknowledged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "walrelay/core/clock.hpp"
#include "walrelay/engine/aside_merge.hpp"
#include "walrelay/engine/aside_queue.hpp"
#include "walrelay/engine/delivery.hpp"
#include "walrelay/engine/feedback.hpp"
#include "walrelay/engine/lanes.hpp"
#include "walrelay/engine/ledger.hpp"
#include "walrelay/engine/progress_schedule.hpp"
#include "walrelay/event/router.hpp"

namespace walrelay::engine {

struct sink_options {
    lane_depth depth = lane_depth::serial;
    bool holds = false;  ///< keys that are stuck are set aside; only with serial
};

/// Fixed for the life of an engine.
struct engine_options {
    std::vector<sink_options> sinks;  ///< in the order of the sink map
    std::uint64_t in_flight_events = 20'000;
    std::uint64_t in_flight_bytes = 16ULL << 20;
    std::uint64_t replay_events = 50'000;
    std::uint64_t seed = 1;  ///< of the jitter
    duration hold = std::chrono::seconds{30};
    std::size_t loaded_lanes = 1'000;  ///< held lanes with rows in memory, of all sinks
    retry_limits retries;
};

/// Which limit keeps the relay from reading.
enum class full_limit : std::uint8_t { none, in_flight_events, in_flight_bytes, replay_events };

/// An event that can't be delivered, where nothing may be set aside. Refused by a sink: nothing
/// more is sent, what is in flight may end. Without a sink: it was never fit for one, nothing
/// behind it is read, and all that stands before it goes on (or a row that maps no more would also
/// hold up those that still did).
struct halt_info {
    event_slot event = 0;
    std::optional<std::size_t> sink;
    std::string reason;
};

/// A lane of one sink.
struct lane_ref {
    std::uint16_t sink = 0;
    lane_key lane;
};

/// Pure: no I/O, no clock; time is an argument. The caller keeps what belongs to an event (its
/// frame) by slot until take_released() gives the slot. Violations of I1 to I6 throw
/// invariant_violation.
class engine {
public:
    explicit engine(const engine_options& options);
    engine(const engine&) = delete;  // its parts refer to each other
    engine& operator=(const engine&) = delete;

    // ---- the stream

    /// START_REPLICATION was answered; `recorded` is the progress record. `same_history`: this
    /// process has read from that timeline before, so what is safe stays safe. `aside`: what the
    /// store holds, read after the slot was acquired.
    void stream_started(lsn recorded, bool same_history, aside_start aside, duration status_period,
                        time_point now);
    /// The connection is gone. Events that are not in flight are forgotten (and released): the
    /// server sends them again. Attempts in flight end as orphans. What is asked of the store at
    /// this time is not answered any more.
    void stream_lost();

    /// False: the rows of this unit were resolved before (the slot is behind the record, after a
    /// crash of the server or a lost acknowledgement), so none of them is added. Sending some of
    /// them again could leave an older record as the last of its key, as the next acknowledgement
    /// covers them all.
    [[nodiscard]] bool begin(lsn commit_lsn, std::int64_t commit_time_us);

    /// The slot that the next row would take. Its memory is fetched ahead, since with a full window
    /// none of it is near the processor.
    [[nodiscard]] event_slot prefetch_row() const noexcept;
    /// One row of the open unit, to be delivered to each of `placements` (at least one). Nothing:
    /// the store has it, and the caller need not keep it. `place` grows from call to call.
    std::optional<event_slot> add(std::size_t bytes, stream_place place,
                                  std::span<const event::placement> placements);
    /// One row that a `to: none` route takes.
    void add_discarded();
    /// One row that can't go to any sink: an event error. It is parked unless the policy is to
    /// halt, or twenty came in a row; then wants_rows() is false from here on, until the stream is
    /// lost.
    std::optional<event_slot> add_unroutable(std::size_t bytes, stream_place place,
                                             std::string reason, config::error_policy policy);
    /// One row of walrelay.redrive, to be applied by mark_request.
    event_slot add_mark(std::size_t bytes);
    void commit(lsn end);
    void keepalive(lsn wal_end, bool reply_requested, time_point now);

    /// False: a limit is full, stop reading until it is true again.
    [[nodiscard]] bool wants_rows();

    [[nodiscard]] full_limit limit_reached() const noexcept { return full_; }

    // ---- the sinks

    struct attempt {
        attempt_token token;
        std::uint32_t number = 0;  ///< from 1
        event_slot event = 0;
    };

    /// The next record for a sink, whose attempt has begun. The caller ends it with exactly one of
    /// sent_back() or attempt_ended().
    [[nodiscard]] std::optional<attempt> next(std::size_t sink, time_point now);
    void sent_back(attempt_token token);

    /// Whether the sink takes a record now: while it doesn't, next() is not asked, and time alone
    /// changes nothing.
    void set_room(std::size_t sink, bool room) noexcept { sinks_[sink].set_room(room); }

    /// The sink was made anew: what stalls is tried again at once.
    void probe_now(std::size_t sink, time_point now) { sinks_[sink].probe_now(now); }

    /// By an operator's mark.
    void set_paused(std::size_t sink, bool paused) noexcept { sinks_[sink].set_paused(paused); }

    void attempt_ended(attempt_token token, const outcome& seen, time_point now);

    /// Fetches ahead what attempt_ended() will look at.
    void prefetch_outcome(attempt_token token) const noexcept {
        if (token.slot < pool_.size()) __builtin_prefetch(&pool_[token.slot], 1);
    }

    /// Slots whose event was resolved or forgotten since the last call: the caller frees what it
    /// keeps. Only from then on are they used again. Good until the next call.
    [[nodiscard]] std::span<const event_slot> take_released();

    /// take_released() would give some.
    [[nodiscard]] bool any_released() const noexcept { return !released_.empty(); }

    // ---- the store

    /// What is to be written to the store or read from it now. Each is answered by exactly one of
    /// the functions below, before the next is given out; but not after stream_lost(). `reads`:
    /// held rows may be read back.
    [[nodiscard]] std::optional<aside_request> store_due(time_point now, bool reads = true);
    /// To a put_request, one answer a row: all is durable.
    void put_done(std::span<const aside_put_answer> there);
    /// To a change_request: all is durable.
    void changes_done();
    /// To a load_request: for each row of each lane, oldest first, one of feed() and refuse_row();
    /// block() where the next row is parked and holds its key; no_room() for a lane that has rows
    /// of which there was room for none; then load_done().
    event_slot feed(const aside_row& row);
    void refuse_row(lane_ref lane, aside_id id, std::string reason);
    void block(lane_ref lane);
    void no_room(lane_ref lane);
    void load_done();
    /// To a mark_request: applied, durably. `touched`: the lanes whose rows it changed.
    void mark_done(std::span<const lane_ref> touched);
    /// Nothing is known of the request: it is tried again.
    void store_failed(time_point now);

    // ---- record and acknowledge

    [[nodiscard]] std::optional<progress_schedule::write> record_due(time_point now,
                                                                     bool at_once = false) {
        return progress_.due(ledger_, now, at_once);
    }

    void recorded(std::string snapshot, lsn insert_lsn) {
        progress_.done(std::move(snapshot), insert_lsn);
    }

    void record_failed() { progress_.failed(); }

    [[nodiscard]] std::optional<status_message> status_due(time_point now, bool at_once = false);

    // ---- views

    /// When time alone can change an answer. `sending`: next() is asked at all.
    [[nodiscard]] time_point wake_at(bool sending = true) const noexcept;

    [[nodiscard]] const std::optional<halt_info>& halted() const noexcept { return halted_; }

    [[nodiscard]] const ledger& units() const noexcept { return ledger_; }

    [[nodiscard]] const feedback& acknowledgements() const noexcept { return feedback_; }

    [[nodiscard]] const progress_schedule& progress() const noexcept { return progress_; }

    [[nodiscard]] const aside_queue& store() const noexcept { return aside_; }

    [[nodiscard]] const lanes& sink(std::size_t index) const { return sinks_.at(index); }

    [[nodiscard]] const delivery& delivery_at(delivery_index at) const { return pool_.at(at); }

    [[nodiscard]] std::uint64_t unresolved_events() const noexcept { return events_count_; }

    [[nodiscard]] std::uint64_t unresolved_bytes() const noexcept { return bytes_count_; }

    /// Of events that were read back from the store.
    [[nodiscard]] std::uint64_t fed_bytes() const noexcept;

    [[nodiscard]] std::uint64_t replay_events() const noexcept {
        return progress_.replay_events(ledger_);
    }

    /// Attempts on the wire, orphans included.
    [[nodiscard]] std::size_t in_flight() const noexcept;

    /// Everything that was read is resolved.
    [[nodiscard]] bool idle() const noexcept { return ledger_.idle(); }

private:
    static constexpr unit_index no_unit = UINT32_MAX;

    struct tracked_event {
        unit_index unit = no_unit;  ///< none: the store brought it
        std::uint32_t bytes = 0;
        std::uint32_t pending = 0;  ///< deliveries that are not resolved
        bool orphaned = false;      ///< its stream is gone: the ledger doesn't know it any more
        stream_place place;         ///< of what the store brought
        std::uint16_t sink = 0;     ///< likewise
    };

    [[nodiscard]] bool sending_is_over() const noexcept { return halted_ && halted_->sink; }

    // engine.cpp
    event_slot track(unit_index unit, std::size_t bytes, std::uint32_t pending);
    event_slot track_row(std::size_t bytes, std::uint32_t pending);
    delivery_index make_delivery(const delivery& made);
    [[nodiscard]] bool resolved_before(std::span<const aside_entry> rows, stream_place place,
                                       const event::placement& to) const;
    void look_for_pinning(std::size_t sink);
    void settle(delivery_index at);
    void settle_event(event_slot slot);
    std::uint64_t random() noexcept;

    // engine_store.cpp
    void collect(std::size_t sink);
    void write_outcome(delivery_index at, aside_state state, const std::string& reason);
    [[nodiscard]] std::optional<load_request> loads_due(time_point now);
    [[nodiscard]] std::optional<load_request> loads_of(std::size_t sink, time_point now);

    const engine_options options_;
    ledger ledger_;
    progress_schedule progress_;
    feedback feedback_;
    delivery_pool pool_;
    std::vector<delivery_index> free_deliveries_;
    std::deque<lanes> sinks_;  ///< they stay where they are
    aside_queue aside_;
    aside_merge merge_;
    std::vector<tracked_event> events_;
    std::vector<event_slot> free_events_;
    std::vector<event_slot> released_;
    std::vector<event_slot> handed_out_;        ///< by take_released()
    std::vector<event_slot> unroutable_;        ///< those that halt
    std::vector<event::placement> placements_;  ///< that are left of an event that is read again
    std::uint32_t unroutable_in_row_ = 0;
    unit_index open_unit_ = 0;
    std::uint64_t events_count_ = 0;
    std::uint64_t bytes_count_ = 0;
    std::vector<std::uint64_t> fed_bytes_;  ///< by sink
    std::size_t loads_turn_ = 0;            ///< the sink that is looked at first
    full_limit full_ = full_limit::none;
    std::optional<halt_info> halted_;
    std::uint64_t random_state_;
};

}  // namespace walrelay::engine
