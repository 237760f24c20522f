// Cases E1 to E5, E8 and E9: bytes that are not a message get a typed error with the place, and
// nothing outside of them is read.
#include <cstring>
#include <string>
#include <string_view>

#include "capture.hpp"
#include "support/catch.hpp"
#include "walrelay/pgoutput/decoder.hpp"

namespace walrelay::pgoutput::test {

namespace {

using kind = protocol_error::kind;

protocol_error error_of(const byte_vector& bytes) {
    const decoded<message> came = decode(bytes);
    if (!came) return came.error();
    FAIL("decoded");
    return {};
}

/// The first `size` bytes, on a heap block of exactly that size.
byte_vector prefix(const byte_vector& bytes, std::size_t size) {
    return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

byte_vector with_byte(byte_vector bytes, std::size_t at, std::uint8_t value) {
    bytes.at(at) = std::byte{value};
    return bytes;
}

byte_vector with_u16(byte_vector bytes, std::size_t at, std::uint16_t value) {
    bytes = with_byte(std::move(bytes), at, static_cast<std::uint8_t>(value >> 8));
    return with_byte(std::move(bytes), at + 1, static_cast<std::uint8_t>(value & 0xFF));
}

byte_vector with_u32(byte_vector bytes, std::size_t at, std::uint32_t value) {
    bytes = with_u16(std::move(bytes), at, static_cast<std::uint16_t>(value >> 16));
    return with_u16(std::move(bytes), at + 2, static_cast<std::uint16_t>(value & 0xFFFF));
}

void check_error(const byte_vector& bytes, kind what, const std::string& field,
                 std::size_t offset) {
    const protocol_error failure = error_of(bytes);
    INFO(failure.text());
    CHECK(failure.what == what);
    CHECK(failure.field == field);
    CHECK(failure.offset == offset);
    CHECK(failure.message_tag == static_cast<char>(bytes.front()));
}

// Offsets in the captured messages that are bent below.
constexpr std::size_t tuple_kind_at = 5;      // of Insert, Update and Delete
constexpr std::size_t tuple_count_at = 6;     // of the same
constexpr std::size_t first_kind_at = 8;      // 't' of the first column
constexpr std::size_t first_length_at = 9;    // its length
constexpr std::size_t relation_kind_at = 17;  // of public.item: 1 + 4 + "public" + "item" with NULs
constexpr std::size_t relation_count_at = 18;
constexpr std::size_t relation_flags_at = 20;

}  // namespace

TEST_CASE(
    "E1: a message cut off at any byte is refused as truncated, and nothing behind it is read") {
    const capture from = GENERATE(from_range(captures));
    const std::string name = GENERATE(from_range(message_names));
    const byte_vector whole = captured(from, name);
    REQUIRE(decode(whole).has_value());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const byte_vector cut = prefix(whole, size);
        const protocol_error failure = error_of(cut);
        if (failure.what == kind::truncated && failure.offset <= size &&
            std::strlen(failure.field) > 0) {
            continue;  // a CHECK a byte would cost more than the rest
        }
        FAIL(name << " cut to " << size << " bytes: " << failure.text());
    }
}

TEST_CASE("E1: an empty message is refused as truncated") {
    const protocol_error failure = error_of({});
    CHECK(failure.what == kind::truncated);
    CHECK(failure.message_tag == 0);
    CHECK(failure.text() == "truncated message at byte 0 (message type)");
}

TEST_CASE("E2: a length that is negative or reaches past the end is refused at its place") {
    const byte_vector row = captured(captures[1], "insert_text_null");
    check_error(with_u32(row, first_length_at, 0xFFFFFFFF), kind::bad_value, "tuple.length",
                first_length_at);
    check_error(with_u32(row, first_length_at, 0x80000000), kind::bad_value, "tuple.length",
                first_length_at);
    check_error(with_u32(row, first_length_at, INT32_MAX), kind::truncated, "tuple.length",
                first_length_at);
    const auto rest = static_cast<std::uint32_t>(row.size() - first_length_at - 4);
    check_error(with_u32(row, first_length_at, rest + 1), kind::truncated, "tuple.length",
                first_length_at);
    // Just all that is left: the next column is missing.
    check_error(with_u32(row, first_length_at, rest), kind::truncated, "tuple.kind", row.size());

    const byte_vector emitted = captured(captures[1], "message_transactional");
    const std::size_t content_length_at = 14;
    check_error(with_u32(emitted, content_length_at, 0xFFFFFFFF), kind::bad_value, "content.length",
                content_length_at);
    check_error(with_u32(emitted, content_length_at, INT32_MAX), kind::truncated, "content.length",
                content_length_at);
    check_error(with_u32(emitted, content_length_at, 7), kind::truncated, "content.length",
                content_length_at);
    check_error(with_u32(emitted, content_length_at, 5), kind::trailing_bytes, "end of message",
                emitted.size() - 1);
}

TEST_CASE("E3: a column count that is negative or larger than the message is refused") {
    for (const char* const name : {"insert_text_null", "update", "delete_key"}) {
        INFO(name);
        const byte_vector row = captured(captures[1], name);
        check_error(with_u16(row, tuple_count_at, 65535), kind::bad_value, "tuple.column_count",
                    tuple_count_at);
        check_error(with_u16(row, tuple_count_at, 32768), kind::bad_value, "tuple.column_count",
                    tuple_count_at);
        check_error(with_u16(row, tuple_count_at, INT16_MAX), kind::truncated, "tuple.column_count",
                    tuple_count_at);
        check_error(with_u16(row, tuple_count_at, 6), kind::truncated, "tuple.kind", row.size());
        check_error(with_u16(row, tuple_count_at, 4), kind::trailing_bytes, "end of message",
                    row.size() - 1);
    }
    const byte_vector table = captured(captures[1], "relation_default");
    for (const std::uint16_t count : {std::uint16_t{65535}, std::uint16_t{32768}}) {
        check_error(with_u16(table, relation_count_at, count), kind::bad_value, "column_count",
                    relation_count_at);
    }
    check_error(with_u16(table, relation_count_at, INT16_MAX), kind::truncated, "column_count",
                relation_count_at);
    check_error(with_u16(table, relation_count_at, 6), kind::truncated, "column.flags",
                table.size());

    const byte_vector emptied = captured(captures[1], "truncate");
    check_error(with_u32(emptied, 1, 0), kind::bad_value, "table_count", 1);
    check_error(with_u32(emptied, 1, 0xFFFFFFFF), kind::bad_value, "table_count", 1);
    check_error(with_u32(emptied, 1, INT32_MAX), kind::truncated, "relation_ids", 6);
    check_error(with_u32(emptied, 1, 2), kind::truncated, "relation_ids", 6);
    check_error(with_u32(captured(captures[1], "truncate_two"), 1, 1), kind::trailing_bytes,
                "end of message", 10);
}

TEST_CASE("E4: a name without its NUL is refused at its start") {
    struct unterminated {
        const char* name;
        const char* field;
        std::size_t field_at;
    };

    const auto one = GENERATE(values<unterminated>({{"origin", "name", 9},
                                                    {"type", "schema", 5},
                                                    {"type", "name", 12},
                                                    {"relation_default", "schema", 5},
                                                    {"relation_default", "name", 12},
                                                    {"relation_default", "column.name", 21},
                                                    {"message_outside", "prefix", 10}}));
    byte_vector bytes = captured(captures[1], one.name);
    for (std::size_t i = one.field_at; i < bytes.size(); ++i) {
        if (bytes[i] == std::byte{0}) bytes[i] = std::byte{'x'};
    }
    INFO(one.name);
    check_error(bytes, kind::truncated, one.field, one.field_at);
}

TEST_CASE("E5: kinds, flags and options that the protocol doesn't have are refused") {
    const byte_vector row = captured(captures[1], "insert_text_null");
    for (int value = 0; value < 256; ++value) {
        INFO("byte " << value);
        const auto byte = static_cast<std::uint8_t>(value);
        const auto tag = static_cast<char>(byte);
        if (tag != 'N') {
            check_error(with_byte(row, tuple_kind_at, byte), kind::bad_value, "tuple_kind",
                        tuple_kind_at);
        }
        // Binary values, 'b', are never asked for.
        if (tag != 't' && tag != 'n' && tag != 'u') {
            check_error(with_byte(row, first_kind_at, byte), kind::bad_value, "tuple.kind",
                        first_kind_at);
        }
        if (tag != 'K' && tag != 'O') {
            check_error(with_byte(captured(captures[1], "delete_key"), tuple_kind_at, byte),
                        kind::bad_value, "tuple_kind", tuple_kind_at);
        }
        if (tag != 'K' && tag != 'O' && tag != 'N') {
            check_error(with_byte(captured(captures[1], "update"), tuple_kind_at, byte),
                        kind::bad_value, "tuple_kind", tuple_kind_at);
        }
        const byte_vector table = captured(captures[1], "relation_default");
        if (std::string_view{"dnfi"}.find(tag) == std::string_view::npos) {
            check_error(with_byte(table, relation_kind_at, byte), kind::bad_value,
                        "replica_identity", relation_kind_at);
        } else {
            CHECK(decode(with_byte(table, relation_kind_at, byte)).has_value());
        }
        if (value > 1) {
            check_error(with_byte(table, relation_flags_at, byte), kind::bad_value, "column.flags",
                        relation_flags_at);
            check_error(with_byte(captured(captures[1], "message_outside"), 1, byte),
                        kind::bad_value, "flags", 1);
        }
        if (value > 0) {
            check_error(with_byte(captured(captures[1], "commit"), 1, byte), kind::bad_value,
                        "flags", 1);
        }
        if (value > 3) {
            check_error(with_byte(captured(captures[1], "truncate"), 5, byte), kind::bad_value,
                        "options", 5);
        }
    }
}

TEST_CASE("E8: the messages of other protocol versions, and unknown ones, are refused by name") {
    const std::string known = "BCORYIUDTM";
    for (int value = 0; value < 256; ++value) {
        const auto tag = static_cast<char>(value);
        if (known.find(tag) != std::string::npos) continue;
        const byte_vector bytes =
            with_byte(captured(captures[1], "commit"), 0, static_cast<std::uint8_t>(value));
        check_error(bytes, kind::unknown_message, "message type", 0);
    }
    // Captured with protocol 2: Stream Start.
    const byte_vector stream_start = wire{}.tag('S').u32(0x303).u8(1).bytes();
    CHECK(error_of(stream_start).text() ==
          "unknown message type 0x53 'S' at byte 0 (message type)");
    CHECK(error_of(wire{}.u8(0).bytes()).text() ==
          "unknown message type 0x00 at byte 0 (message type)");
}

TEST_CASE("E9: a byte after the last field is refused") {
    const capture from = GENERATE(from_range(captures));
    const std::string name = GENERATE(from_range(message_names));
    byte_vector longer = captured(from, name);
    const std::size_t size = longer.size();
    longer.push_back(std::byte{0});
    INFO(name);
    check_error(byte_vector{longer}, kind::trailing_bytes, "end of message", size);
}

TEST_CASE("the text of a protocol error says what, where and in which message, never the payload") {
    const byte_vector row = captured(captures[1], "insert_text_null");
    CHECK(error_of(prefix(row, 17)).text() == "truncated Insert message at byte 15 (tuple.length)");
    CHECK(error_of(with_byte(row, first_kind_at, 'b')).text() ==
          "bad value in Insert message at byte 8 (tuple.kind)");
    byte_vector longer = captured(captures[1], "begin");
    longer.push_back(std::byte{'x'});
    CHECK(error_of(longer).text() ==
          "trailing bytes after Begin message at byte 21 (end of message)");
}

}  // namespace walrelay::pgoutput::test
