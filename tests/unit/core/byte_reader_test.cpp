#include "walrelay/core/byte_reader.hpp"

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "support/catch.hpp"

namespace walrelay {

namespace {

/// On the heap at exactly its size, so that AddressSanitizer sees a read past it.
std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
    std::vector<std::byte> bytes(values.size());
    std::size_t i = 0;
    for (const int value : values)
        bytes[i++] = static_cast<std::byte>(value);
    return bytes;
}

}  // namespace

TEST_CASE("integers are read with their highest byte first") {
    const auto bytes = bytes_of(
        {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F});
    byte_reader in{bytes};
    CHECK(in.u8() == 0x01);
    CHECK(in.u16() == 0x0203);
    CHECK(in.u32() == 0x04050607);
    CHECK(in.offset() == 7);
    CHECK(in.remaining() == 8);
    CHECK_FALSE(in.at_end());
    CHECK(in.u64() == 0x08090A0B0C0D0E0F);
    CHECK(in.ok());
    CHECK(in.at_end());
    CHECK(in.remaining() == 0);
}

TEST_CASE("signed integers keep their sign") {
    const auto bytes = bytes_of({0xFF, 0xFF, 0xFF, 0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0});
    byte_reader in{bytes};
    CHECK(in.i32() == -2);
    CHECK(in.i64() == INT64_MIN);
    CHECK(in.at_end());
}

TEST_CASE("an integer that doesn't fit fails, and everything after it") {
    const auto bytes = bytes_of({1, 2, 3});
    byte_reader in{bytes};
    CHECK(in.u8() == 1);
    CHECK(in.u32() == 0);
    CHECK_FALSE(in.ok());
    CHECK(in.offset() == 1);  // of the field that failed
    // Two bytes are left, but a reader that lost its place must not go on.
    CHECK(in.remaining() == 0);
    CHECK(in.u8() == 0);
    CHECK(in.u16() == 0);
    CHECK(in.bytes(0).empty());
    CHECK(in.c_string().data() == nullptr);
    CHECK_FALSE(in.at_end());
    CHECK(in.offset() == 1);
}

TEST_CASE("each integer fails one byte before its end") {
    const auto bytes = bytes_of({1, 2, 3, 4, 5, 6, 7});
    const std::span<const std::byte> all{bytes};
    const auto fails = [](std::span<const std::byte> some, auto read) {
        byte_reader in{some};
        CHECK(read(in) == 0);
        return !in.ok();
    };
    CHECK(fails(all.first(0), [](byte_reader& in) { return in.u8(); }));
    CHECK(fails(all.first(1), [](byte_reader& in) { return in.u16(); }));
    CHECK(fails(all.first(3), [](byte_reader& in) { return in.u32(); }));
    CHECK(fails(all.first(3), [](byte_reader& in) { return in.i32(); }));
    CHECK(fails(all.first(7), [](byte_reader& in) { return in.u64(); }));
    CHECK(fails(all.first(7), [](byte_reader& in) { return in.i64(); }));
}

TEST_CASE("a string ends at its NUL, which is consumed") {
    const auto bytes = bytes_of({'a', 'b', 0, 0, 'c', 0});
    byte_reader in{bytes};
    CHECK(in.c_string() == "ab");
    CHECK(in.offset() == 3);
    CHECK(in.c_string().empty());
    CHECK(in.ok());
    CHECK(in.c_string() == "c");
    CHECK(in.at_end());
}

TEST_CASE("a string without NUL fails without reading on") {
    const auto bytes = bytes_of({'a', 'b'});
    byte_reader in{bytes};
    CHECK(in.c_string().empty());
    CHECK_FALSE(in.ok());
    CHECK(in.offset() == 0);
}

TEST_CASE("a string at the very end fails") {
    const auto bytes = bytes_of({0});
    byte_reader in{bytes};
    CHECK(in.u8() == 0);
    CHECK(in.ok());
    CHECK(in.c_string().empty());
    CHECK_FALSE(in.ok());
}

TEST_CASE("a run of bytes points into the message") {
    const auto bytes = bytes_of({1, 2, 3});
    byte_reader in{bytes};
    const auto run = in.bytes(2);
    CHECK(run.data() == bytes.data());
    CHECK(run.size() == 2);
    CHECK(in.bytes(0).empty());
    CHECK(in.ok());
    CHECK(in.bytes(2).empty());
    CHECK_FALSE(in.ok());
}

TEST_CASE("a run longer than any memory fails") {
    const auto bytes = bytes_of({1, 2, 3});
    byte_reader in{bytes};
    CHECK(in.bytes(SIZE_MAX).empty());
    CHECK_FALSE(in.ok());
}

TEST_CASE("of nothing nothing can be read, and that is an end") {
    byte_reader in{{}};
    CHECK(in.ok());
    CHECK(in.at_end());
    CHECK(in.bytes(0).empty());
    CHECK(in.ok());
    CHECK(in.u8() == 0);
    CHECK_FALSE(in.ok());
}

TEST_CASE("a reader that was told to fail stays failed") {
    const auto bytes = bytes_of({1});
    byte_reader in{bytes};
    in.fail();
    CHECK(in.u8() == 0);
    CHECK_FALSE(in.ok());
    CHECK_FALSE(in.at_end());
}

}  // namespace walrelay
