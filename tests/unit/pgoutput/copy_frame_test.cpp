#include "walrelay/pgoutput/copy_frame.hpp"

#include <algorithm>
#include <string>

#include "capture.hpp"
#include "support/catch.hpp"

namespace walrelay::pgoutput::test {

namespace {

using kind = protocol_error::kind;

protocol_error error_of(const byte_vector& payload) {
    const decoded<copy_frame> came = read_copy_frame(payload);
    if (!came) return came.error();
    FAIL("a frame");
    return {};
}

keepalive keepalive_of(const byte_vector& payload) {
    const decoded<copy_frame> came = read_copy_frame(payload);
    if (!came) FAIL(came.error().text());
    REQUIRE(std::holds_alternative<keepalive>(*came));
    return std::get<keepalive>(*came);
}

}  // namespace

TEST_CASE("an XLogData frame is its positions and one message") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);
    const byte_vector payload = captured(from, "frame_xlog_data");
    const decoded<copy_frame> came = read_copy_frame(payload);
    REQUIRE(came.has_value());
    REQUIRE(std::holds_alternative<xlog_data>(*came));
    const auto& data = std::get<xlog_data>(*came);
    CHECK(data.start.value == from.xlog_start);
    CHECK(data.wal_end.value == from.xlog_start);
    CHECK(data.message.data() == payload.data() + 25);
    CHECK(std::ranges::equal(data.message, captured(from, "begin")));
}

TEST_CASE(
    "a keepalive tells the end of the WAL, the server's time and whether it wants an answer") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);
    const keepalive quiet = keepalive_of(captured(from, "frame_keepalive"));
    CHECK(quiet.wal_end.value == from.keepalive_end);
    CHECK(quiet.server_time.microseconds == from.keepalive_time);
    CHECK_FALSE(quiet.reply_requested);

    const keepalive asking = keepalive_of(captured(from, "frame_keepalive_reply_requested"));
    CHECK(asking.wal_end.value == from.last_keepalive_end);
    CHECK(asking.server_time.microseconds == from.last_keepalive_time);
    CHECK(asking.reply_requested);
}

TEST_CASE("E12: a CopyData payload of an unknown type is refused by name") {
    for (int value = 0; value < 256; ++value) {
        const auto tag = static_cast<char>(value);
        if (tag == 'w' || tag == 'k') continue;
        byte_vector payload = captured(captures[1], "frame_xlog_data");
        payload.front() = static_cast<std::byte>(value);
        const protocol_error failure = error_of(payload);
        CHECK(failure.what == kind::unknown_frame);
        CHECK(failure.message_tag == tag);
    }
    CHECK(error_of(wire{}.tag('x').bytes()).text() ==
          "unknown CopyData type 0x78 'x' at byte 0 (CopyData type)");
}

TEST_CASE("E13: CopyData of 0, 1 and 24 bytes is refused as truncated") {
    const protocol_error empty = error_of({});
    CHECK(empty.what == kind::truncated);
    CHECK(empty.text() == "truncated message at byte 0 (CopyData type)");
    const byte_vector data = captured(captures[1], "frame_xlog_data");
    for (const std::ptrdiff_t size : {1, 24}) {
        const protocol_error failure = error_of({data.begin(), data.begin() + size});
        CHECK(failure.what == kind::truncated);
        CHECK(failure.text() ==
              "truncated XLogData frame at byte " + std::to_string(size) + " (header)");
    }
    CHECK(error_of(wire{}.tag('k').bytes()).text() == "truncated keepalive frame at byte 1 (body)");
}

TEST_CASE("E13: a frame cut off at any byte of its header is refused as truncated") {
    const capture from = GENERATE(from_range(captures));
    const byte_vector data = captured(from, "frame_xlog_data");
    for (std::ptrdiff_t size = 0; size < 25; ++size) {
        CHECK(error_of({data.begin(), data.begin() + size}).what == kind::truncated);
    }
    const byte_vector alive = captured(from, "frame_keepalive");
    for (std::ptrdiff_t size = 0; size < 18; ++size) {
        CHECK(error_of({alive.begin(), alive.begin() + size}).what == kind::truncated);
    }
}

TEST_CASE("an XLogData frame may be all header: what is missing then is the message") {
    const byte_vector data = captured(captures[1], "frame_xlog_data");
    const byte_vector header{data.begin(), data.begin() + 25};
    const decoded<copy_frame> came = read_copy_frame(header);
    REQUIRE(came.has_value());
    CHECK(std::get<xlog_data>(*came).message.empty());
}

TEST_CASE("E9: a byte after a keepalive is refused") {
    byte_vector payload = captured(captures[1], "frame_keepalive");
    payload.push_back(std::byte{0});
    const protocol_error failure = error_of(byte_vector{payload});
    CHECK(failure.what == kind::trailing_bytes);
    CHECK(failure.offset == 18);
}

TEST_CASE("E5: a keepalive that neither wants an answer nor doesn't is refused") {
    for (int value = 2; value < 256; ++value) {
        byte_vector payload = captured(captures[1], "frame_keepalive");
        payload.back() = static_cast<std::byte>(value);
        const protocol_error failure = error_of(payload);
        CHECK(failure.what == kind::bad_value);
        CHECK(failure.offset == 17);
    }
}

TEST_CASE("a status update is 34 bytes as the server reads them") {
    const standby_status status{lsn{0x16B374D848}, lsn{0x0102030405060708}, lsn{0xFFFFFFFFFFFFFFFF},
                                pg_time{-2}, true};
    const byte_vector expected = wire{}
                                     .raw("r")
                                     .raw({"\x00\x00\x00\x16\xB3\x74\xD8\x48", 8})
                                     .raw({"\x01\x02\x03\x04\x05\x06\x07\x08", 8})
                                     .raw({"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8})
                                     .raw({"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", 8})
                                     .raw({"\x01", 1})
                                     .bytes();
    CHECK(standby_status_bytes == 34);
    CHECK(std::ranges::equal(encode(status), expected));
}

TEST_CASE("a status update that confirms nothing has zeros where it would") {
    const auto bytes = encode({lsn{5}, lsn{}, lsn{}, pg_time{1}, false});
    const byte_vector expected = wire{}.tag('r').u64(5).u64(0).u64(0).u64(1).u8(0).bytes();
    CHECK(std::ranges::equal(bytes, expected));
}

}  // namespace walrelay::pgoutput::test
