// When records are handed to librdkafka, so that they leave in few requests.
#pragma once

#include <chrono>

namespace walrelay::sink::kafka {

/// Open for linger.ms from the first record on, then closed until everything is reported.
///
/// librdkafka has one request a partition in flight when it is idempotent, and while more records
/// are due than it may send, its thread spins until the answer comes. What is held back here
/// instead goes in one request when the answer is there: as Nagle's algorithm does it. For a
/// partition that answers slowly, or not at all, the others wait `longest_hold` at most.
class produce_window {
public:
    using clock = std::chrono::steady_clock;

    static constexpr std::chrono::milliseconds longest_hold{20};
    /// Records that follow each other this closely belong together, whatever linger.ms is.
    static constexpr std::chrono::microseconds burst_gap{50};

    explicit produce_window(clock::duration linger) noexcept : length_{linger} {}

    /// `idle`: nothing is waiting for its report.
    [[nodiscard]] bool open(clock::time_point now, bool idle) noexcept {
        if (idle || now >= reopens()) opened_ = last_ = now;
        if (now >= opened_ + length_ && now > last_ + burst_gap) return false;
        last_ = now;
        return true;
    }

    /// When it opens again though reports are missing.
    [[nodiscard]] clock::time_point reopens() const noexcept {
        return opened_ + length_ + longest_hold;
    }

private:
    clock::duration length_;
    clock::time_point opened_{};
    clock::time_point last_{};  ///< when it was found open
};

}  // namespace walrelay::sink::kafka
