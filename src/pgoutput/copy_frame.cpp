#include "walrelay/pgoutput/copy_frame.hpp"

#include "walrelay/core/byte_reader.hpp"
#include "walrelay/core/planted.hpp"

namespace walrelay::pgoutput {

namespace {

constexpr std::size_t xlog_data_header_bytes = 25;
constexpr std::size_t keepalive_bytes = 18;
constexpr std::size_t reply_requested_at = 17;

decoded<copy_frame> read_xlog_data(std::span<const std::byte> payload) noexcept {
    if (payload.size() < xlog_data_header_bytes) {
        return protocol_error{protocol_error::kind::truncated, 'w', "header", payload.size()};
    }
    byte_reader in{payload.subspan(1)};
    const lsn start{in.u64()};
    const lsn wal_end{in.u64()};
    return copy_frame{xlog_data{start, wal_end, payload.subspan(xlog_data_header_bytes)}};
}

decoded<copy_frame> read_keepalive(std::span<const std::byte> payload) noexcept {
    if (payload.size() < keepalive_bytes && !planted(bug::truncated_keepalive_taken)) {
        return protocol_error{protocol_error::kind::truncated, 'k', "body", payload.size()};
    }
    if (payload.size() > keepalive_bytes) {
        return protocol_error{protocol_error::kind::trailing_bytes, 'k', "end of frame",
                              keepalive_bytes};
    }
    byte_reader in{payload.subspan(1)};
    const lsn wal_end{in.u64()};
    const pg_time server_time{in.i64()};
    const std::uint8_t reply_requested = in.u8();
    if (reply_requested > 1) {
        return protocol_error{protocol_error::kind::bad_value, 'k', "reply_requested",
                              reply_requested_at};
    }
    return copy_frame{keepalive{wal_end, server_time, reply_requested == 1}};
}

/// Writes big-endian at `at` and moves it on.
void put_u64(std::byte*& at, std::uint64_t value) noexcept {
    for (int shift = 56; shift >= 0; shift -= 8)
        *at++ = static_cast<std::byte>(value >> shift);
}

}  // namespace

decoded<copy_frame> read_copy_frame(std::span<const std::byte> payload) noexcept {
    if (payload.empty()) {
        return protocol_error{protocol_error::kind::truncated, 0, "CopyData type", 0};
    }
    const auto tag = static_cast<char>(payload.front());
    if (tag == 'w') return read_xlog_data(payload);
    if (tag == 'k') return read_keepalive(payload);
    return protocol_error{protocol_error::kind::unknown_frame, tag, "CopyData type", 0};
}

std::array<std::byte, standby_status_bytes> encode(const standby_status& status) noexcept {
    std::array<std::byte, standby_status_bytes> bytes{};
    std::byte* at = bytes.data();
    *at++ = std::byte{'r'};
    put_u64(at, status.written.value);
    put_u64(at, status.flushed.value);
    put_u64(at, status.applied.value);
    put_u64(at, static_cast<std::uint64_t>(status.client_time.microseconds));
    *at = std::byte{status.reply_requested};
    return bytes;
}

}  // namespace walrelay::pgoutput
