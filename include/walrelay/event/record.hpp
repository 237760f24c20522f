// One event as one sink sends it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/core/lsn.hpp"
#include "walrelay/core/stream_place.hpp"

namespace walrelay::event {

/// Where in the stream a row or message stood: the same after every restart and redelivery.
struct row_position {
    /// Messages are numbered apart from rows: whether they are read at all depends on the routes,
    /// and must not change the ids of rows.
    enum class origin : std::uint8_t {
        row,
        message,       ///< pg_logical_emit_message in a transaction
        lone_message,  ///< outside: commit_lsn is its own end, time, xid and ordinal are 0
    };

    lsn commit_lsn;
    std::int64_t commit_time_us = 0;  ///< microseconds since 1970
    std::uint32_t xid = 0;
    std::uint32_t ordinal = 0;  ///< among the inserts, or the messages, of the transaction, from 0
    origin what = origin::row;
    std::uint32_t rows_before = 0;  ///< of a message in a transaction: inserts read before it

    [[nodiscard]] stream_place place() const noexcept {
        switch (what) {
            case origin::row:
                return {commit_lsn, static_cast<std::int32_t>(ordinal), 0};
            case origin::message:
                return {commit_lsn, static_cast<std::int32_t>(rows_before) - 1, ordinal + 1};
            case origin::lone_message:
                break;
        }
        return {commit_lsn, -1, 0};
    }
};

/// One header of the row itself; no value is a JSON null.
struct header_view {
    std::string_view name;
    std::optional<std::string_view> value;
    bool secret = false;  ///< the sink map wrote a secret into it: to be sent, never to be shown
};

/// A push of a workflow, for the headers of its own.
struct push_view {
    std::string_view workflow_id;
    std::string_view attempt;
    std::string_view queue;
    std::string_view name;
};

/// Which of our headers go beside the row's own.
enum class header_style : std::uint8_t {
    walrelay,
    /// Debezium's Outbox Event Router: into Kafka the id comes first, then the row's own, and
    /// nothing else: no type, no content-type, no metadata. HTTP knows no such convention.
    debezium,
};

/// Everything that a sink needs. Views point into the frame that brought the row, into the plan of
/// its table, or into this record's `scratch`; they are good until the record is built again or the
/// frame goes. A record may be moved, a copy's views point into the original. One record object is
/// used again and again: in steady state building one allocates nothing.
///
/// Destinations are safe to send as they are. All else is the row's own text, byte for byte (line
/// ends, NUL, not ASCII): a sink refuses or encodes what its protocol can't carry.
struct record {
    std::string_view id;  ///< stable over restarts, redelivery and failover; never empty
    std::optional<std::string_view> key;  ///< no key: no order is kept
    std::optional<std::string_view> type;
    /// Kafka: topic. HTTP: path and query, encoded, with *** for what is secret there. Else empty.
    std::string_view destination;
    std::string_view secret_destination;   ///< where `destination` hides something: the whole of it
    std::optional<std::string_view> body;  ///< none: null value, or empty body
    bool body_in_frame = false;  ///< body outlives the record: it stays until the event is resolved
    std::string_view content_type;     ///< empty: no body, and the row names none
    bool content_type_secret = false;  ///< the sink map made it of a secret
    /// In the row's order. A content-type is `content_type` instead, but for Kafka in Debezium's
    /// style, which names every header itself.
    std::vector<header_view> headers;
    std::optional<push_view> push;  ///< only where the row is a push of a workflow
    header_style style = header_style::walrelay;
    std::string_view table;  ///< schema.name, or message:PREFIX
    row_position position;
    std::uint64_t epoch = 0;
    bool redriven = false;  ///< an operator has it sent again; not part of what build() makes

    std::string scratch;  ///< owned by the builder

    /// What goes on the wire, and nowhere else.
    [[nodiscard]] std::string_view address() const noexcept {
        return secret_destination.empty() ? destination : secret_destination;
    }
};

}  // namespace walrelay::event
