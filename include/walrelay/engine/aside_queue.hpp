// What is on its way to the store, in order, and one request at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "walrelay/core/clock.hpp"
#include "walrelay/engine/set_aside.hpp"

namespace walrelay::engine {

/// Everything stays here until the store has said that it is durable; after a failure it is given
/// out again, changes before anything else. Writes, changes, marks and reads take turns, so that
/// none starves; but a row that is read again and put once more comes after what became of it
/// before. Pure.
class aside_queue {
public:
    void put(aside_put row) { puts_.push_back({std::move(row), changes_queued_}); }

    void change(aside_change row) {
        changes_.push_back(std::move(row));
        ++changes_queued_;
    }

    void mark(event_slot event) { marks_.push_back(event); }

    /// `loads`: asked when it is their turn.
    [[nodiscard]] std::optional<aside_request> due(
        time_point now, const std::function<std::optional<load_request>()>& loads,
        const std::function<std::uint64_t(const aside_put&)>& bytes_of);

    /// The request is done: what it held leaves the queue.
    [[nodiscard]] std::vector<aside_put> take_puts();
    [[nodiscard]] std::vector<aside_change> take_changes();
    [[nodiscard]] event_slot take_mark();
    [[nodiscard]] std::vector<aside_load> take_loads();

    /// The request under way failed. Loads are given back: they are asked for anew.
    [[nodiscard]] std::vector<aside_load> failed(time_point now);

    /// Forgets all; what is under way isn't answered any more. Gives the events that no delivery
    /// belongs to.
    [[nodiscard]] std::vector<event_slot> clear();

    [[nodiscard]] bool busy() const noexcept { return under_way_ != turn::none; }

    [[nodiscard]] bool empty() const noexcept {
        return puts_.empty() && changes_.empty() && marks_.empty() && !busy();
    }

    /// Writes that are not durable yet.
    [[nodiscard]] std::size_t waiting() const noexcept {
        return puts_.size() + changes_.size() + marks_.size();
    }

    /// Outcomes among them.
    [[nodiscard]] std::size_t changes() const noexcept { return changes_.size(); }

    /// When a request that failed is tried again; never when nothing waits for time.
    [[nodiscard]] time_point wake_at() const noexcept;

private:
    enum class turn : std::uint8_t { put, change, mark, load, none };

    [[nodiscard]] std::optional<aside_request> due_of(
        turn which, const std::function<std::optional<load_request>()>& loads,
        const std::function<std::uint64_t(const aside_put&)>& bytes_of);
    void end(turn expected);

    struct waiting_put {
        aside_put row;
        std::uint64_t after_changes = 0;  ///< so many were queued before it
    };

    std::deque<waiting_put> puts_;
    std::deque<aside_change> changes_;
    std::deque<event_slot> marks_;
    std::vector<aside_load> loads_;  ///< under way
    std::size_t given_out_ = 0;      ///< of puts_ or changes_
    std::uint64_t changes_queued_ = 0;
    std::uint64_t changes_done_ = 0;
    turn under_way_ = turn::none;
    turn next_ = turn::put;
    bool failed_ = false;
    time_point not_before_{};
};

}  // namespace walrelay::engine
