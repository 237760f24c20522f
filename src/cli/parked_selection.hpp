// Which rows of walrelay.parked a command means. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/cli/commands.hpp"

namespace walrelay::cli {

/// Nothing was selected, which could also mean everything: a command must not guess.
[[nodiscard]] bool selects_nothing(const parked_selection& what) noexcept;

/// The condition on `p`, a row of walrelay.parked, for all selectors but the states; its
/// parameters are those of selection_parameters().
extern const char* const selection_sql;

/// $1 to $7: slot, ids, key, since when as an interval and as a time, pattern of LIKE, sink.
[[nodiscard]] std::vector<std::optional<std::string>> selection_parameters(
    const parked_selection& what, const std::string& slot);

/// `*` and `?` as LIKE has them; all else stands for itself.
[[nodiscard]] std::string like_pattern(std::string_view glob);

/// "90 seconds" of 90s, and so for m, h and d; nothing for what isn't a duration.
[[nodiscard]] std::optional<std::string> interval_of(std::string_view duration);

}  // namespace walrelay::cli
