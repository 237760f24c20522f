#include "walrelay/engine/aside_queue.hpp"

#include <algorithm>
#include <utility>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

namespace {

constexpr std::size_t most_puts = 500;
constexpr std::uint64_t most_put_bytes = 4ULL << 20;
constexpr std::size_t most_changes = 1000;
constexpr duration after_failure = std::chrono::seconds{1};

}  // namespace

std::optional<aside_request> aside_queue::due(
    time_point now, const std::function<std::optional<load_request>()>& loads,
    const std::function<std::uint64_t(const aside_put&)>& bytes_of) {
    if (busy() || (failed_ && now < not_before_)) return std::nullopt;
    failed_ = false;
    constexpr auto turns = static_cast<std::uint8_t>(turn::none);
    for (std::uint8_t i = 0; i < turns; ++i) {
        const turn which = next_;
        next_ = static_cast<turn>((static_cast<std::uint8_t>(next_) + 1) % turns);
        if (auto request = due_of(which, loads, bytes_of)) {
            under_way_ = which;
            return request;
        }
    }
    return std::nullopt;
}

std::optional<aside_request> aside_queue::due_of(
    turn which, const std::function<std::optional<load_request>()>& loads,
    const std::function<std::uint64_t(const aside_put&)>& bytes_of) {
    switch (which) {
        case turn::put: {
            put_request request;
            std::uint64_t bytes = 0;
            for (const waiting_put& one : puts_) {
                bytes += bytes_of(one.row);
                const bool full = request.rows.size() >= most_puts || bytes > most_put_bytes;
                if ((full && !request.rows.empty()) || one.after_changes > changes_done_) break;
                request.rows.push_back(one.row);
            }
            given_out_ = request.rows.size();
            if (given_out_ == 0) return std::nullopt;
            return request;
        }
        case turn::change: {
            given_out_ = std::min(changes_.size(), most_changes);
            if (given_out_ == 0) return std::nullopt;
            const auto end = changes_.begin() + static_cast<std::ptrdiff_t>(given_out_);
            return change_request{{changes_.begin(), end}};
        }
        case turn::mark:
            if (marks_.empty()) return std::nullopt;
            return mark_request{marks_.front()};
        case turn::load: {
            auto request = loads();
            if (!request) return std::nullopt;
            loads_ = request->lanes;
            return std::move(*request);
        }
        case turn::none:
            break;
    }
    return std::nullopt;
}

void aside_queue::end(turn expected) {
    require(under_way_ == expected, "I13: the store answers what it wasn't asked");
    under_way_ = turn::none;
    failed_ = false;
}

std::vector<aside_put> aside_queue::take_puts() {
    end(turn::put);
    std::vector<aside_put> done;
    for (; given_out_ > 0; --given_out_) {
        done.push_back(std::move(puts_.front().row));
        puts_.pop_front();
    }
    return done;
}

std::vector<aside_change> aside_queue::take_changes() {
    end(turn::change);
    const auto last = changes_.begin() + static_cast<std::ptrdiff_t>(given_out_);
    std::vector<aside_change> done{std::make_move_iterator(changes_.begin()),
                                   std::make_move_iterator(last)};
    changes_.erase(changes_.begin(), last);
    changes_done_ += done.size();
    return done;
}

event_slot aside_queue::take_mark() {
    end(turn::mark);
    const event_slot done = marks_.front();
    marks_.pop_front();
    return done;
}

std::vector<aside_load> aside_queue::take_loads() {
    end(turn::load);
    return std::exchange(loads_, {});
}

std::vector<aside_load> aside_queue::failed(time_point now) {
    require(busy(), "I13: the store fails at what it wasn't asked");
    if (planted(bug::failed_put_forgotten) && under_way_ == turn::put) puts_.clear();
    // A redrive that came between would be undone when the change is made again.
    if (under_way_ == turn::change) next_ = turn::change;
    under_way_ = turn::none;
    failed_ = true;
    not_before_ = now + after_failure;
    return std::exchange(loads_, {});
}

std::vector<event_slot> aside_queue::clear() {
    std::vector<event_slot> bare{marks_.begin(), marks_.end()};
    for (const waiting_put& one : puts_) {
        if (one.row.delivery == no_delivery) bare.push_back(one.row.event);
    }
    *this = aside_queue{};
    return bare;
}

time_point aside_queue::wake_at() const noexcept {
    return failed_ && !busy() ? not_before_ : never;
}

}  // namespace walrelay::engine
