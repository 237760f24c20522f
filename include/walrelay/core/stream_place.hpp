// Where an event stands in the stream.
#pragma once

#include <compare>
#include <cstdint>

#include "walrelay/core/lsn.hpp"

namespace walrelay {

/// Ordered as the events of the stream are, and the same each time that they are read. Whether
/// messages are read at all depends on the routes, so they don't count among the rows.
struct stream_place {
    lsn commit_lsn;  ///< where the commit record starts; of a message outside a transaction: its
                     ///< end
    /// Of a row: its number among the inserts of the transaction, from 0. Of a message: that of the
    /// row before it, -1 where there is none. A message outside a transaction has -1: it may share
    /// its position with the transaction that follows.
    std::int32_t ordinal = 0;
    std::uint32_t message = 0;  ///< of a message in a transaction: its number, from 1. Else 0

    friend constexpr auto operator<=>(const stream_place&, const stream_place&) = default;
};

}  // namespace walrelay
