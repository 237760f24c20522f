// The known name that somebody probably meant.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace walrelay::config {

/// The candidate with the fewest edits (insert, delete, replace, swap of neighbours; letters
/// compare without case), if they are few enough for a slip of the keyboard: a third of the longer
/// name.
[[nodiscard]] std::optional<std::string_view> nearest_name(
    std::string_view name, std::span<const std::string_view> candidates);

}  // namespace walrelay::config
