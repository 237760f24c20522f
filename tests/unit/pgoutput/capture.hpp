// Bytes that real servers sent, and what they mean. Made by tests/support/capture_pgoutput.py.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace walrelay::pgoutput::test {

/// A copy of a vector is a heap block of exactly its size: AddressSanitizer sees a read one byte
/// past it.
using byte_vector = std::vector<std::byte>;

/// What differs from one capture to the next; everything else is the same on each server.
struct capture {
    const char* folder;  ///< of tests/fixtures/pgoutput
    std::uint64_t commit_lsn;
    std::uint64_t end_lsn;
    std::int64_t commit_time;
    std::uint32_t xid;
    std::uint32_t whole_id;  ///< oid of table public.whole
    std::uint64_t message_inside;
    std::uint64_t message_outside;
    std::uint64_t xlog_start;
    std::uint64_t keepalive_end;
    std::int64_t keepalive_time;
    std::uint64_t last_end;
    std::uint64_t last_keepalive_end;
    std::int64_t last_keepalive_time;
    std::size_t transactions;  ///< in the session; version 14 sends one without rows
};

inline constexpr std::array<capture, 3> captures{{
    {"14", 0x1720AD8, 0x1720B08, 848570742024823, 742, 16398, 0x1721080, 0x17210E8, 0x171FC88,
     0x171FC88, 848570742030985, 0x1722EA8, 0x1722EA8, 848570743033106, 13},
    {"15", 0x194D328, 0x194D358, 848570743132112, 733, 16398, 0x194D8D0, 0x194D938, 0x194D210,
     0x194C4F0, 848570743138755, 0x194F6F8, 0x194F6F8, 848570744139984, 12},
    {"18", 0x1B8B670, 0x1B8B6A0, 848570744248571, 761, 16399, 0x1B8BC18, 0x1B8BC80, 0x1B8B558,
     0x1B8A838, 848570744258440, 0x1B8DA40, 0x1B8DA40, 848570745259879, 12},
}};

inline constexpr std::uint32_t mood_id = 16386;  ///< oid of type public.mood
inline constexpr std::uint32_t item_id = 16391;  ///< oid of table public.item

/// The captured messages: every kind, and every form of those that have several.
inline constexpr std::array message_names{"begin",
                                          "commit",
                                          "origin",
                                          "relation_full",
                                          "relation_default",
                                          "type",
                                          "insert_large",
                                          "insert_text_null",
                                          "update",
                                          "update_full",
                                          "update_key_unchanged_toast",
                                          "delete_key",
                                          "delete_full",
                                          "truncate",
                                          "truncate_two",
                                          "message_outside",
                                          "message_transactional"};

/// One message or one CopyData payload.
byte_vector captured(const capture& from, const std::string& name);

/// Every CopyData payload of the session, in order.
std::vector<byte_vector> captured_session(const capture& from);

/// Builds bytes that no server sends.
class wire {
public:
    wire& u8(std::uint8_t value) { return integer(value, 1); }

    wire& tag(char value) { return integer(static_cast<std::uint8_t>(value), 1); }

    wire& u16(std::uint16_t value) { return integer(value, 2); }

    wire& u32(std::uint32_t value) { return integer(value, 4); }

    wire& u64(std::uint64_t value) { return integer(value, 8); }

    /// With its NUL.
    wire& text(std::string_view value);
    wire& raw(std::string_view value);

    /// The bytes, on the heap at exactly their size.
    [[nodiscard]] byte_vector bytes() const { return bytes_; }

private:
    wire& integer(std::uint64_t value, int size);

    byte_vector bytes_;
};

/// A message in a CopyData payload of kind XLogData.
byte_vector in_frame(std::span<const std::byte> message);

}  // namespace walrelay::pgoutput::test
