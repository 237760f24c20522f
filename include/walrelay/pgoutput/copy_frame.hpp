// The payloads of CopyData on a replication connection.
//
// Source: PostgreSQL documentation, "Streaming Replication Protocol", START_REPLICATION.
//   in   'w' XLogData   Int64 start, Int64 WAL end, Int64 send time, one pgoutput message
//        'k' keepalive  Int64 WAL end, Int64 send time, Byte1 reply requested
//   out  'r' status     Int64 written, Int64 flushed, Int64 applied, Int64 client time, Byte1 reply
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "walrelay/pgoutput/decoder.hpp"

namespace walrelay::pgoutput {

struct xlog_data {
    lsn start;    ///< 0 for Relation and Type messages: never derive a position from it
    lsn wal_end;  ///< likewise
    std::span<const std::byte> message;
};

struct keepalive {
    lsn wal_end;
    pg_time server_time;
    bool reply_requested = false;
};

using copy_frame = std::variant<xlog_data, keepalive>;

[[nodiscard]] decoded<copy_frame> read_copy_frame(std::span<const std::byte> payload) noexcept;

/// What is told to the server. flushed 0 confirms nothing.
struct standby_status {
    lsn written;
    lsn flushed;
    lsn applied;
    pg_time client_time;
    bool reply_requested = false;

    friend bool operator==(const standby_status&, const standby_status&) = default;
};

inline constexpr std::size_t standby_status_bytes = 34;
[[nodiscard]] std::array<std::byte, standby_status_bytes> encode(
    const standby_status& status) noexcept;

}  // namespace walrelay::pgoutput
