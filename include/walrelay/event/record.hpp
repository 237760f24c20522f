// One event as one sink sends it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/core/lsn.hpp"

namespace walrelay::event {

/// Where in the stream a row stood: the same after every restart and redelivery, but for the epoch.
struct row_position {
    lsn commit_lsn;
    std::int64_t commit_time_us = 0;  ///< microseconds since 1970
    std::uint32_t xid = 0;
    std::uint32_t ordinal = 0;  ///< among the inserts of the transaction, from 0
};

/// One header of the row itself; no value is a JSON null.
struct header_view {
    std::string_view name;
    std::optional<std::string_view> value;
};

/// Everything that a sink needs. Views point into the frame that brought the row, into the plan of
/// its table, or into this record's `scratch`; they are good until the record is built again or the
/// frame goes. A record may be moved, a copy's views point into the original. One record object is
/// used again and again: in steady state building one allocates nothing (but for headers: their
/// JSON is parsed).
///
/// Destinations are safe to send as they are. All else is the row's own text, byte for byte (line
/// ends, NUL, not ASCII): a sink refuses or encodes what its protocol can't carry.
struct record {
    std::string_view id;  ///< stable over restarts, redelivery and failover; never empty
    std::optional<std::string_view> key;  ///< no key: no order is kept
    std::optional<std::string_view> type;
    std::string_view destination;  ///< Kafka: topic. HTTP: path and query, encoded. Else empty
    std::optional<std::string_view> body;  ///< none: null value, or empty body
    bool body_in_frame = false;  ///< body outlives the record: it stays until the event is resolved
    std::string_view content_type;     ///< empty: no body, and the row names none
    std::vector<header_view> headers;  ///< in the row's order; never a content-type
    std::string_view table;            ///< schema.name
    row_position position;
    std::uint64_t epoch = 0;

    std::string scratch;  ///< owned by the builder
};

}  // namespace walrelay::event
