// C12: the limit of requests in a time, without a clock.
#include "sink/http/token_bucket.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::sink::http;
using namespace std::chrono_literals;

namespace {

/// A moment, from one that the clock of a machine may show.
constexpr time_point at(duration after) {
    return time_point{100h} + after;
}

/// How many tokens are to be had at once.
int take_all(token_bucket& bucket, time_point now) {
    int taken = 0;
    for (; taken < 100'000 && bucket.ready(now); ++taken)
        bucket.take(now);
    return taken;
}

}  // namespace

TEST_CASE("C12: without a rate there is always a token") {
    token_bucket bucket{{}};
    CHECK(take_all(bucket, at(0s)) == 100'000);
    CHECK(bucket.ready_at() <= at(0s));
}

TEST_CASE("C12: an idle bucket holds what a twentieth of a second brings, or one token") {
    for (const auto& [rate, kept] :
         std::vector<std::pair<config::request_rate, int>>{{{500, 1s}, 25},
                                                           {{1'000'000, 1s}, 50'000},
                                                           {{40, 1s}, 2},
                                                           {{39, 1s}, 1},
                                                           {{1, 1s}, 1},
                                                           {{100, 1min}, 1},
                                                           {{1, 1h}, 1},
                                                           {{1'000'000, 1h}, 13}}) {
        CAPTURE(rate.count, rate.per.count());
        token_bucket bucket{rate};
        CHECK(take_all(bucket, at(0s)) == kept);
        CHECK_FALSE(bucket.ready(at(0s)));
        CHECK(take_all(bucket, at(100h)) == kept);  // and no more for having waited
    }
}

TEST_CASE("C12: tokens come evenly, and ready_at() says when") {
    token_bucket bucket{{100, 1min}};
    bucket.take(at(0s));
    CHECK(bucket.ready_at() == at(600ms));
    CHECK_FALSE(bucket.ready(at(600ms - 1ns)));
    CHECK(bucket.ready(at(600ms)));
    bucket.take(at(700ms));  // 100 ms late: the next is not earlier for it
    CHECK(bucket.ready_at() == at(1300ms));
}

TEST_CASE("C12: no span of time brings more than the rate and what was kept, however it is asked") {
    for (const config::request_rate rate : std::vector<config::request_rate>{
             {7, 1s}, {333, 1s}, {500, 1s}, {6'007, 1min}, {999'983, 1h}}) {
        for (const duration step : std::vector<duration>{113us, 937us, 3ms, 71ms, 499ms}) {
            CAPTURE(rate.count, rate.per.count(), step.count());
            token_bucket bucket{rate};
            token_bucket idle{rate};
            const int kept = take_all(idle, at(0s));
            const double per_second =
                static_cast<double>(rate.count) / static_cast<double>(rate.per.count());
            std::vector<duration> taken;
            for (duration now{0}; now < 10s + 2'000 * step && taken.size() < 2'000; now += step) {
                // A loop that comes at its own times, and is away for a while now and then.
                if (taken.size() % 97 == 96) now += 2s;
                while (bucket.ready(at(now))) {
                    bucket.take(at(now));
                    taken.push_back(now);
                }
            }
            REQUIRE(taken.size() > 5);
            for (std::size_t first = 0; first < taken.size(); first += 13) {
                for (std::size_t last = first; last < taken.size(); last += 7) {
                    const std::chrono::duration<double> span = taken[last] - taken[first];
                    const auto most = span.count() * per_second + kept + 1e-6;
                    REQUIRE(static_cast<double>(last - first + 1) <= most);
                }
            }
        }
    }
}

TEST_CASE("C12: asked at each token's time, the rate is reached and not only kept") {
    token_bucket bucket{{500, 1s}};
    take_all(bucket, at(0s));
    const time_point start = bucket.ready_at();
    time_point now = start;
    for (int i = 0; i < 5'000; ++i) {
        now = std::max(now, bucket.ready_at());
        bucket.take(now);
    }
    CHECK(now - start == 4'999 * 2ms);
}

TEST_CASE("C12: a request that was sent without a token makes the next ones wait") {
    token_bucket bucket{{10, 1s}};
    bucket.take(at(0s));
    bucket.take(at(0s));
    bucket.take(at(0s));
    CHECK(bucket.ready_at() == at(300ms));
}
