// How an attempt to deliver ended, as a sink reports it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace walrelay::engine {

/// Classes of architecture.md, "Outcomes". The sink names what it saw; what follows is decided in
/// engine/retry_policy alone.
enum class outcome_class : std::uint8_t {
    delivered,
    transient,  ///< broker away, timeout, reset, 408 425 429 5xx, malformed answer: the lane waits
    target,     ///< 404 405 410 421, unknown topic, no right to a topic: that topic or URL stalls
    endpoint,   ///< 401 403 407, 3xx, TLS verification, authentication: the sink stalls
    event,  ///< this record is refused, and a retry may help (400, 422…): three tries, then the
            ///< policy
    event_final,  ///< this record can't be sent and no retry helps (too large, bad header): the
                  ///< policy
    batch,  ///< a batch that held this record was refused: it is blamed only if it fails when sent
            ///< alone
    unknown,  ///< anything else: as endpoint. Never dropped
};

struct outcome {
    outcome_class what = outcome_class::unknown;
    /// What came back, for logs and readiness: "HTTP 503 Service Unavailable". No payload, no
    /// secret.
    std::string reason{};
    /// What the answer asked for; already clamped to [0, 1 h].
    std::optional<std::chrono::milliseconds> retry_after{};
    /// retry_after holds the whole target (429 and 503), not only the lane.
    bool hold_target = false;
};

/// Names one attempt. A sink gives it back with the outcome, exactly once for each accepted
/// attempt.
struct attempt_token {
    std::uint32_t slot = 0;
    std::uint32_t serial = 0;  ///< differs between attempts that share a slot

    [[nodiscard]] std::uint64_t packed() const noexcept {
        return (static_cast<std::uint64_t>(serial) << 32) | slot;
    }

    static attempt_token unpack(std::uint64_t packed) noexcept {
        return {static_cast<std::uint32_t>(packed), static_cast<std::uint32_t>(packed >> 32)};
    }

    friend bool operator==(attempt_token, attempt_token) = default;
};

}  // namespace walrelay::engine
