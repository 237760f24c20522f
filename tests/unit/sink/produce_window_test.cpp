#include "sink/kafka/produce_window.hpp"

#include "support/catch.hpp"

namespace walrelay::sink::kafka {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds linger{5};
const produce_window::clock::time_point start{std::chrono::hours{1}};

TEST_CASE("records go out for linger.ms from the first on, then wait for the reports") {
    produce_window window{linger};
    CHECK(window.open(start, true));
    CHECK(window.open(start + milliseconds{4}, false));
    CHECK_FALSE(window.open(start + milliseconds{6}, false));
    CHECK_FALSE(window.open(start + milliseconds{8}, false));
    CHECK(window.open(start + milliseconds{9}, true));  // all are reported
    CHECK(window.open(start + milliseconds{13}, false));
    CHECK_FALSE(window.open(start + milliseconds{15}, false));
}

TEST_CASE("a burst that has begun is not cut, and a pause ends it") {
    produce_window window{milliseconds{0}};
    auto now = start;
    CHECK(window.open(now, true));
    for (int i = 0; i < 1000; ++i)
        CHECK(window.open(now += microseconds{20}, false));
    CHECK_FALSE(window.open(now += microseconds{60}, false));
    // Asking in vain keeps nothing open.
    CHECK_FALSE(window.open(now += microseconds{20}, false));
}

TEST_CASE("a report that stays away holds the others for a while only") {
    produce_window window{linger};
    CHECK(window.open(start, true));
    const auto reopens = window.reopens();
    CHECK(reopens == start + linger + produce_window::longest_hold);
    CHECK_FALSE(window.open(reopens - microseconds{1}, false));
    CHECK(window.open(reopens, false));
    CHECK(window.open(reopens + milliseconds{4}, false));
    CHECK_FALSE(window.open(reopens + milliseconds{6}, false));
}

}  // namespace

}  // namespace walrelay::sink::kafka
