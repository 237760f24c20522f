// The Retry-After header of an answer.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace walrelay::sink::http {

/// Longest wait that an answer can ask for: a mistaken or hostile "ten years" must not stop a sink.
inline constexpr std::chrono::milliseconds longest_retry_after = std::chrono::hours{1};

/// The wait that `value` asks for, within [0, longest_retry_after]. Reads RFC 9110's delta-seconds
/// and all three forms of HTTP-date (IMF-fixdate, RFC 850, asctime); a date that is past is 0.
/// Anything else is ignored, as if the header were not there.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view value, std::chrono::system_clock::time_point now);

}  // namespace walrelay::sink::http
