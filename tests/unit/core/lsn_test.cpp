#include "walrelay/core/lsn.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "support/catch.hpp"

namespace walrelay {

namespace {

constexpr lsn highest{std::numeric_limits<std::uint64_t>::max()};

std::uint64_t parsed(std::string_view text) {
    const auto position = parse_lsn(text);
    if (!position) FAIL(position.error().text());
    return position->value;
}

}  // namespace

TEST_CASE("a position is printed as Postgres prints it") {
    CHECK(to_string(lsn{}) == "0/0");
    CHECK(to_string(lsn{0x16B374D848}) == "16/B374D848");
    CHECK(to_string(lsn{0x100000001}) == "1/1");
    CHECK(to_string(highest) == "FFFFFFFF/FFFFFFFF");
}

TEST_CASE("a position is read with and without zeros in front, in either case") {
    CHECK(parsed("0/0") == 0);
    CHECK(parsed("16/B374D848") == 0x16B374D848);
    CHECK(parsed("16/b374d848") == 0x16B374D848);
    CHECK(parsed("1/00000001") == 0x100000001);
    CHECK(parsed("00000001/1") == 0x100000001);
    CHECK(parsed("FFFFFFFF/FFFFFFFF") == highest.value);
}

TEST_CASE("what is printed is read as the same position") {
    for (int bit = 0; bit < 64; ++bit) {
        const lsn position{std::uint64_t{1} << bit};
        CHECK(parsed(to_string(position)) == position.value);
    }
}

TEST_CASE("text that is no position is refused and quoted in the error") {
    const auto text = GENERATE(as<std::string>{}, "", "/", "0", "0/", "/0", "0/0/0", "x/0", "0/x",
                               "-1/0", "+1/0", " 1/0", "1/0 ", "1 /0", "0x1/0", "100000000/0",
                               "0/100000000", "000000001/0", "1\\0", std::string("1/0\0", 4));
    const auto position = parse_lsn(text);
    REQUIRE_FALSE(position.has_value());
    INFO(position.error().text());
    CHECK(position.error().operation == "read LSN");
    CHECK(position.error().cause == "expected two hex numbers as in 16/B374D848");
}

TEST_CASE("the error of a wrong position says what was read") {
    CHECK(parse_lsn("16-B374D848").error().text() ==
          "read LSN '16-B374D848': expected two hex numbers as in 16/B374D848");
}

TEST_CASE("the hex form sorts as text in the order of positions") {
    std::vector<lsn> positions{lsn{},  lsn{1}, lsn{0xFFFFFFFF}, lsn{0x100000000}, lsn{0x16B374D848},
                               highest};
    CHECK(std::ranges::is_sorted(positions));
    CHECK(std::ranges::is_sorted(positions, {}, to_hex16));
    CHECK(to_hex16(lsn{0x16B374D848}) == "00000016B374D848");
    CHECK(to_hex16(highest) == "FFFFFFFFFFFFFFFF");
}

}  // namespace walrelay
