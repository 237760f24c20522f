// Carries the engine's decisions to the sinks, and their outcomes back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/engine/engine.hpp"
#include "walrelay/intake/event_store.hpp"
#include "walrelay/sink/sink.hpp"

namespace walrelay::relay {

/// Names an event to a person. Row data has passed printable().
struct event_name {
    std::string table;
    std::string id;
    std::string key;          ///< empty when there is none
    std::string destination;  ///< topic, or path of a URL
    lsn commit_lsn;

    [[nodiscard]] std::string text() const;  ///< "shop.outbox id … LSN …"
};

struct sink_counters {
    std::uint64_t delivered = 0;
    std::uint64_t transient = 0;
    std::uint64_t target = 0;
    std::uint64_t endpoint = 0;
    std::uint64_t event = 0;
    std::uint64_t unknown = 0;
    std::string notice;
    /// The last delivery, or when something to deliver came after there was nothing.
    time_point moved_at{};
    bool waits = false;  ///< something was left to deliver when it was last looked
};

class dispatcher final : public sink::listener {
public:
    /// `changed` is called after outcomes, on the loop: the time to read on, record and
    /// acknowledge.
    dispatcher(boost::asio::io_context& loop, const config::model& model, std::uint64_t seed,
               std::function<void()> changed);

    /// In the order of the sink map.
    using sinks = std::vector<std::unique_ptr<sink::sink>>;

    /// Makes the sinks of `model`, which may be another than the present one. Errors name the sink.
    [[nodiscard]] result<sinks> make_sinks(const config::model& model);

    void use_sinks(sinks made) noexcept { sinks_ = std::move(made); }

    /// The same sinks with other options; pump() sees to it. A serial one is used at once, and what
    /// is on the old one's wire ends there. A pipelined one is used when nothing is on the wire,
    /// and until then nothing is sent: so no older record follows a newer one out of two sinks.
    /// What has not ended after ten seconds is given up, and may land late, as at a restart.
    void replace_sinks(sinks fresh, time_point now);

    /// Old ones are still there.
    [[nodiscard]] bool replaces_sinks() const noexcept {
        return !successors_.empty() || !retired_.empty();
    }

    /// The model is another one: an engine for it in place of the old (references stay good), and
    /// other sinks. Only without a stream, and not from a call of a sink. What is on the wire is
    /// given up.
    void begin_anew(sinks fresh);

    /// Sinks that were made and are not used.
    void discard(sinks unused);

    /// Sends what may be sent now.
    void pump(time_point now);
    /// What the engine has released is freed.
    void free_released();

    /// Nothing new is sent any more.
    void stop_sending() noexcept { sending_ = false; }

    [[nodiscard]] bool sending() const noexcept { return sending_; }

    void start_sending(std::uint64_t epoch) noexcept {
        epoch_ = epoch;
        sending_ = true;
    }

    /// The stream is gone: forgets what is not on the wire.
    void stream_lost();

    [[nodiscard]] engine::engine& decisions() noexcept { return *engine_; }

    [[nodiscard]] const engine::engine& decisions() const noexcept { return *engine_; }

    [[nodiscard]] intake::event_store& events() noexcept { return store_; }

    [[nodiscard]] const std::vector<sink_counters>& counters() const noexcept { return counters_; }

    [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }

    /// No sink has work that it hasn't moved for longer than `limit`.
    [[nodiscard]] bool moves(time_point now, duration limit) const noexcept;

    /// Builds the event once more to name it. `sink` beyond the last: without key and destination.
    [[nodiscard]] event_name name_of(engine::event_slot slot, std::size_t sink) const;

    void on_outcome(std::size_t sink, engine::attempt_token token,
                    engine::outcome&& outcome) override;
    void on_delivered(std::size_t sink, std::span<const engine::attempt_token> tokens) override;
    void settled(std::size_t sink) override;
    void on_notice(std::size_t sink, std::string notice) override;

private:
    void pump_sink(std::size_t index, time_point now);
    void change_over(time_point now);
    void put_in_place(std::size_t index, std::unique_ptr<sink::sink> fresh, time_point now);
    void retire(std::size_t index, sink::sink& old);
    void bury(std::size_t index, std::unique_ptr<sink::sink> old);
    void ended(std::size_t sink, engine::attempt_token token, const engine::outcome& outcome,
               time_point now);

    boost::asio::io_context& loop_;
    const config::model& model_;
    const std::uint64_t seed_;
    std::function<void()> changed_;
    std::optional<engine::engine> engine_;  ///< always there; see begin_anew()
    intake::event_store store_;
    std::vector<sink_counters> counters_;
    event::record record_;  ///< used again for each attempt
    std::uint64_t epoch_ = 0;
    bool sending_ = false;
    sinks sinks_;       ///< before them to go: the frames outlive what points to them
    sinks successors_;  ///< null: has taken its place; empty: all have
    time_point successors_wait_until_ = never;
    std::vector<std::pair<std::size_t, std::unique_ptr<sink::sink>>> retired_;  ///< with attempts
    std::vector<std::jthread> undertakers_;  ///< one a sink, for what ends slowly
};

}  // namespace walrelay::relay
