// The columns of one row that the routes of its table use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "walrelay/pgoutput/messages.hpp"

namespace walrelay::event {

/// Where a plan keeps the value of a column that it uses. Counts from 0 without holes, so that the
/// values of a row fit a small array however wide the table is.
using slot = std::uint16_t;

/// A column to be kept.
struct wanted_column {
    std::uint16_t column = 0;  ///< in the table
    event::slot slot = 0;
};

/// Values of one row by slot; views into its frame. Used again for each row, so that reading one
/// allocates nothing once the widest plan has been seen.
class row_values {
public:
    /// Walks the row once, up to the last column of `wanted`, which is in ascending order of
    /// columns and has each slot once. The row must have more columns than the last of them.
    void load(const pgoutput::tuple_view& row, const std::vector<wanted_column>& wanted) {
        values_.resize(wanted.size());
        auto at = row.begin();
        std::uint16_t column = 0;
        for (const wanted_column& next : wanted) {
            for (; column < next.column; ++column)
                ++at;
            values_[next.slot] = *at;
        }
    }

    const pgoutput::value_view& operator[](slot index) const noexcept { return values_[index]; }

private:
    std::vector<pgoutput::value_view> values_;
};

/// What filling a template gave.
struct filled {
    enum class state : std::uint8_t {
        text,
        null,             ///< a column is NULL
        unchanged_toast,  ///< a column was not sent
        bad_segment,      ///< paths: a segment from the row is empty, "." or ".."
    };

    state what = state::text;
    std::string_view text;  ///< in the frame, in the template, or in the buffer that was given
    slot at = 0;            ///< the column that stopped it
};

}  // namespace walrelay::event
