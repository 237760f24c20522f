// A row of walrelay.redrive: what an operator wishes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "walrelay/core/result.hpp"
#include "walrelay/pgoutput/relation.hpp"

namespace walrelay::intake {

struct mark {
    enum class action : std::uint8_t {
        redrive,  ///< the rows of `ids` are sent again
        drop,     ///< they are given up
        pause,    ///< nothing is sent to `sink`
        resume,   ///< it goes on
    };

    std::int64_t id = 0;  ///< of two that say something else of a sink, the higher one counts
    action what = action::redrive;
    std::string slot;               ///< of the relay that it is meant for
    std::string sink;               ///< of pause and resume
    std::vector<std::int64_t> ids;  ///< rows of walrelay.parked, of redrive and drop
};

/// The table is walrelay.redrive.
[[nodiscard]] bool holds_marks(const pgoutput::relation& table);

/// An error names the column. What it asks for may be new: the relay must not pass over it.
[[nodiscard]] result<mark> read_mark(const pgoutput::relation& table,
                                     const pgoutput::tuple_view& row);

}  // namespace walrelay::intake
