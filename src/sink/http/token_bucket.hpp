// The limit of requests in a time.
#pragma once

#include <chrono>

#include "walrelay/config/model.hpp"
#include "walrelay/core/clock.hpp"

namespace walrelay::sink::http {

/// A token a request; they come evenly, and what a twentieth of a second brings, or one, is kept
/// for a loop that comes late. In any span of time no more are taken than came in it and were kept.
/// Whole nanoseconds, no clock of its own: `now` never goes back.
class token_bucket {
public:
    static constexpr std::chrono::milliseconds kept_for{50};

    /// A rate of 0 never runs out.
    explicit token_bucket(const config::request_rate& rate) noexcept;

    /// There is a token.
    [[nodiscard]] bool ready(time_point now) const noexcept { return now >= ready_at(); }

    /// When the next token is there; may be past.
    [[nodiscard]] time_point ready_at() const noexcept;

    /// One token. Without one the next comes later by as much: a request that was sent counts,
    /// whether it was foreseen or not.
    void take(time_point now) noexcept;

private:
    duration interval_{0};
    duration kept_{0};      ///< by how much full_at_ may lie ahead while there is a token
    time_point full_at_{};  ///< when as many tokens are there as are ever kept
};

}  // namespace walrelay::sink::http
