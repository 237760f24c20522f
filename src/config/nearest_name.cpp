#include "nearest_name.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace walrelay::config {

namespace {

// Names of the sink map are shorter; a longer text isn't a slip of one of them.
constexpr std::size_t longest_name = 80;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Optimal string alignment distance.
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before_last(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1])) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
        std::swap(before_last, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::optional<std::string_view> nearest_name(std::string_view name,
                                             std::span<const std::string_view> candidates) {
    std::optional<std::string_view> nearest;
    std::size_t fewest = 0;
    for (const std::string_view candidate : candidates) {
        if (std::max(name.size(), candidate.size()) > longest_name) continue;
        const std::size_t count = edits(name, candidate);
        if (count > std::max<std::size_t>(1, std::max(name.size(), candidate.size()) / 3)) continue;
        if (nearest && count >= fewest) continue;
        nearest = candidate;
        fewest = count;
    }
    return nearest;
}

}  // namespace walrelay::config
