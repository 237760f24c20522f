#include "sink/http/retry_after.hpp"

#include "support/catch.hpp"

using namespace walrelay::sink::http;
using namespace std::chrono_literals;

namespace {

// Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::chrono::system_clock::time_point moment{784111777s};

}  // namespace

TEST_CASE("C2: Retry-After in seconds is taken as it is, up to an hour") {
    CHECK(parse_retry_after("0", moment) == 0ms);
    CHECK(parse_retry_after("5", moment) == 5s);
    CHECK(parse_retry_after("0005", moment) == 5s);
    CHECK(parse_retry_after("3600", moment) == 1h);
    CHECK(parse_retry_after("3601", moment) == 1h);
    CHECK(parse_retry_after("99999999", moment) == 1h);
    CHECK(parse_retry_after("99999999999999999999999999999999", moment) == 1h);
}

TEST_CASE("C2: Retry-After as a date counts from now, in all three forms") {
    CHECK(parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", moment) == 30s);
    CHECK(parse_retry_after("Sunday, 06-Nov-94 08:50:07 GMT", moment) == 30s);
    CHECK(parse_retry_after("Sun Nov  6 08:50:07 1994", moment) == 30s);
    CHECK(parse_retry_after("Sat Nov 12 08:49:37 1994", moment) == 1h);
    CHECK(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", moment) == 1h);
    CHECK(parse_retry_after("Mon, 01 Jan 0001 00:00:00 GMT", moment) == 0ms);
    CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:36 GMT", moment) == 0ms);
}

TEST_CASE("a two-digit year is never more than fifty years ahead") {
    constexpr std::chrono::system_clock::time_point year_2026{1'790'000'000s};
    CHECK(parse_retry_after("Sunday, 06-Nov-76 08:49:37 GMT", year_2026) == 1h);   // 2076
    CHECK(parse_retry_after("Sunday, 06-Nov-77 08:49:37 GMT", year_2026) == 0ms);  // 1977
}

TEST_CASE("C2: a Retry-After that is neither is ignored") {
    for (const char* garbage : {"",
                                " ",
                                "-1",
                                "+5",
                                "5.5",
                                "5s",
                                "abc",
                                "0x10",
                                "1e3",
                                "Sun",
                                "Sun,",
                                "Sun, 06 Nov 1994",
                                "Sun, 06 Nov 1994 08:49:37",
                                "Sun, 06 Nov 1994 08:49:37 CET",
                                "Sun, 31 Feb 1994 08:49:37 GMT",
                                "Sun, 00 Nov 1994 08:49:37 GMT",
                                "Sun, 06 Nov 1994 24:00:00 GMT",
                                "Xyz, 06 Nov 1994 08:49:37 GMT",
                                "Sun, 06 Foo 1994 08:49:37 GMT",
                                "Sun, 06 Nov 1994 08:49:37 GMT ",
                                "Sun Nov 6 08:49:37 1994",
                                "Sunday, 06-Nov-1994 08:49:37 GMT",
                                "5, 10",
                                "\xFF"}) {
        CAPTURE(garbage);
        CHECK_FALSE(parse_retry_after(garbage, moment).has_value());
    }
}
