// The part of the relay that sends again, for tests of what a sink does to order.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kafka_fixture.hpp"
#include "support/kafka_consumer.hpp"

namespace walrelay::test {

/// Sends the numbers 0, 1, 2… under one key, as many as it is told. After a failure it waits until
/// nothing is in flight, and sends the failed one and all behind it again.
class resender {
public:
    resender(kafka_fixture& relay, std::string topic) : relay_(relay), topic_(std::move(topic)) {}

    /// Hands over up to `count` more; stops where the sink is full, or something failed.
    void send(std::size_t count) {
        const std::size_t wanted = next_ + count;
        while (next_ < wanted && !failed()) {
            if (next_ == bodies_.size()) bodies_.push_back(std::to_string(next_));
            const auto token = attempt(attempts_.size());
            const auto record = kafka_fixture::record(topic_, "k", bodies_[next_]);
            const auto answer = relay_.out->send(token, 1, record, relay_.refusal);
            if (answer == sink::admission::full) {
                const std::size_t before = relay_.heard.settles;
                REQUIRE(relay_.run_until([&] { return relay_.heard.settles > before; }));
                continue;
            }
            REQUIRE(answer == sink::admission::pending);
            attempts_.push_back(next_++);
        }
    }

    /// The lowest number whose newest attempt failed; none: nullopt. An outcome that was told
    /// twice, or for an attempt that nobody made, fails the test.
    std::optional<std::size_t> failed() {
        if (looked_at_ == relay_.heard.told) return lowest_failed_;
        looked_at_ = relay_.heard.told;
        REQUIRE(relay_.heard.each_once());
        const auto& all = relay_.heard.outcomes;
        for (auto at = all.lower_bound(attempt(first_attempt_).packed()); at != all.end(); ++at) {
            const auto slot = engine::attempt_token::unpack(at->first).slot;
            REQUIRE(slot < attempts_.size());
            const auto what = at->second.front().what;
            if (what == engine::outcome_class::delivered) continue;
            seen.insert(what);
            lowest_failed_ = std::min(lowest_failed_.value_or(attempts_[slot]), attempts_[slot]);
        }
        return lowest_failed_;
    }

    /// Until each number that send() was given is delivered, and none behind a failed one is the
    /// last.
    void finish(std::size_t total) {
        const auto deadline = kafka_fixture::clock::now() + std::chrono::seconds{30};
        for (;;) {
            REQUIRE(kafka_fixture::clock::now() < deadline);
            if (next_ < total) send(total - next_);
            REQUIRE(relay_.run_until(
                [&] { return relay_.heard.told == attempts_.size() && relay_.out->has_room(); }));
            const auto from = failed();
            if (!from && next_ == total) return;
            if (!from) continue;
            ++rewinds;
            next_ = *from;
            first_attempt_ = attempts_.size();
            lowest_failed_.reset();
        }
    }

    /// What the topic holds after `total` numbers were delivered, in its order. One number more is
    /// sent, which marks the end.
    std::vector<std::size_t> log(const std::string& bootstraps, std::size_t total) {
        finish(total + 1);
        kafka_consumer consumer(bootstraps, topic_, 1);
        std::vector<std::size_t> numbers;
        while (numbers.empty() || numbers.back() != total) {
            const auto got = consumer.read(1);
            REQUIRE(got.size() == 1);
            numbers.push_back(std::stoul(got.front().value.value()));
        }
        numbers.pop_back();
        const std::set<std::size_t> arrived(numbers.begin(), numbers.end());
        std::vector<std::size_t> missing;
        for (std::size_t number = 0; number < total; ++number)
            if (!arrived.contains(number)) missing.push_back(number);
        CHECK(missing == std::vector<std::size_t>{});
        CHECK(numbers.back() == total - 1);
        return numbers;
    }

    std::set<engine::outcome_class> seen;  ///< but for delivered
    std::size_t rewinds = 0;

private:
    static engine::attempt_token attempt(std::size_t count) {
        return {static_cast<std::uint32_t>(count), 1};
    }

    kafka_fixture& relay_;
    std::string topic_;
    std::deque<std::string> bodies_;
    std::vector<std::size_t> attempts_;  ///< the number that each was of
    std::size_t first_attempt_ = 0;      ///< since the last time that it went back
    std::size_t next_ = 0;
    std::optional<std::size_t> lowest_failed_;
    std::size_t looked_at_ = 0;  ///< outcomes
};

}  // namespace walrelay::test
