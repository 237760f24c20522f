// Typed values out of a row_set. Private to this folder.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

#include "walrelay/core/lsn.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

/// Nothing for NULL and for what isn't a number of this type.
template <class Integer>
std::optional<Integer> integer_cell(const row_set& rows, std::size_t row, std::size_t column,
                                    int base = 10) {
    const std::string_view text = rows.text(row, column);
    Integer value{};
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
    return value;
}

inline bool true_cell(const row_set& rows, std::size_t row, std::size_t column) {
    return rows.text(row, column) == "t";
}

/// Position 0 for NULL.
inline lsn lsn_cell(const row_set& rows, std::size_t row, std::size_t column) {
    const auto position = parse_lsn(rows.text(row, column));
    return position ? *position : lsn{};
}

}  // namespace walrelay::postgres
