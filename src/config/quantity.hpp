// Durations, sizes and whole numbers as people write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace walrelay::config {

/// Digits only: no sign, no blanks, nothing behind, no more than 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_whole_number(std::string_view text);

/// A whole number and its unit without a blank between: ms, s, m, h. Nothing without a unit, also
/// 0.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// Bytes: a whole number and B, KiB, MiB, GiB (powers of 1024) or kB, MB, GB (powers of 1000).
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// In the largest unit that takes it whole: "90s", "2m", "16MiB".
[[nodiscard]] std::string to_text(std::chrono::milliseconds duration);
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace walrelay::config
