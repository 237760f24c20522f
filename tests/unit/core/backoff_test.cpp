#include "walrelay/core/backoff.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "support/catch.hpp"

namespace walrelay {

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr backoff usual{milliseconds{100}, seconds{10}};

/// The longest wait that can be drawn. The draw is `random` modulo the number of waits, so it is
/// reached by the number of nanoseconds itself.
duration longest(const backoff& policy, std::uint32_t failures, duration expected) {
    return policy.wait(failures, static_cast<std::uint64_t>(expected.count()));
}

}  // namespace

TEST_CASE("the longest wait doubles with each failure up to the cap") {
    CHECK(longest(usual, 1, milliseconds{100}) == milliseconds{100});
    CHECK(longest(usual, 2, milliseconds{200}) == milliseconds{200});
    CHECK(longest(usual, 3, milliseconds{400}) == milliseconds{400});
    CHECK(longest(usual, 7, milliseconds{6400}) == milliseconds{6400});
    CHECK(longest(usual, 8, seconds{10}) == seconds{10});
    CHECK(longest(usual, 1000, seconds{10}) == seconds{10});
}

TEST_CASE("no wait is longer than its step, whatever is drawn") {
    std::uint64_t random = 0x9E3779B97F4A7C15;
    for (std::uint32_t failures = 0; failures < 40; ++failures) {
        const duration step = std::min<duration>(
            seconds{10},
            milliseconds{100} * (1LL << std::min(failures == 0 ? 0U : failures - 1, 20U)));
        for (int i = 0; i < 100; ++i) {
            random = random * 6364136223846793005 + 1442695040888963407;
            const duration wait = usual.wait(failures, random);
            CHECK(wait >= duration::zero());
            CHECK(wait <= step);
        }
    }
}

TEST_CASE("waits are spread over the whole step: clients that failed together come back apart") {
    std::uint64_t random = 1;
    duration lowest = seconds{10};
    duration highest = duration::zero();
    for (int i = 0; i < 1000; ++i) {
        random = random * 6364136223846793005 + 1442695040888963407;
        const duration wait = usual.wait(20, random);
        lowest = std::min(lowest, wait);
        highest = std::max(highest, wait);
    }
    CHECK(lowest < milliseconds{100});
    CHECK(highest > milliseconds{9900});
}

TEST_CASE("before the first failure the wait is that of the first step") {
    CHECK(longest(usual, 0, milliseconds{100}) == milliseconds{100});
    CHECK(usual.wait(0, 0) == duration::zero());
}

TEST_CASE("endless failures and the largest number drawn stay within the cap") {
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    CHECK(usual.wait(most, std::numeric_limits<std::uint64_t>::max()) <= seconds{10});
    CHECK(usual.wait(most, 0) == duration::zero());
}

TEST_CASE("a base above the cap waits no longer than the cap") {
    constexpr backoff policy{seconds{20}, seconds{10}};
    CHECK(longest(policy, 1, seconds{10}) == seconds{10});
}

TEST_CASE("a base of a day doesn't overflow") {
    constexpr backoff policy{hours{24}, hours{48}};
    for (const std::uint32_t failures : {1U, 2U, 21U, 1000U}) {
        const duration wait = policy.wait(failures, std::numeric_limits<std::uint64_t>::max());
        CHECK(wait >= duration::zero());
        CHECK(wait <= hours{48});
        CHECK(longest(policy, 21, hours{48}) == hours{48});
    }
}

TEST_CASE("a base or a cap of nothing means no wait") {
    CHECK(backoff{duration::zero(), seconds{1}}.wait(5, 12345) == duration::zero());
    CHECK(backoff{seconds{1}, duration::zero()}.wait(5, 12345) == duration::zero());
}

}  // namespace walrelay
