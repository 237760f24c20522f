// A position in Postgres' write-ahead log.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "walrelay/core/result.hpp"

namespace walrelay {

/// Byte offset in the WAL of one timeline. 0 is "no position", as in Postgres (InvalidXLogRecPtr).
struct lsn {
    std::uint64_t value = 0;

    friend constexpr auto operator<=>(lsn, lsn) = default;
};

/// The form that Postgres prints: two halves in upper-case hex, "16/B374D848".
std::string to_string(lsn position);

/// Sixteen hex digits, upper case: sorts as text in the order of positions.
std::string to_hex16(lsn position);

/// Reads "X/Y" with one to eight hex digits a half, zero-padded or not.
[[nodiscard]] result<lsn> parse_lsn(std::string_view text);

}  // namespace walrelay
