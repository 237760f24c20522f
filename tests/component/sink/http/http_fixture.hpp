// An HTTP sink and somebody who listens to it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sink/http/make.hpp"
#include "support/catch.hpp"

namespace walrelay::test {

using namespace std::chrono_literals;
using engine::outcome_class;

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// Holds scripts back until the test lets them go.
class gate {
public:
    void open() {
        const std::lock_guard lock{mutex_};
        open_ = true;
        changed_.notify_all();
    }

    void wait() {
        std::unique_lock lock{mutex_};
        changed_.wait_for(lock, 20s, [this] { return open_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

/// Keeps every outcome, and fails the test on a second one for the same attempt.
class outcome_log final : public sink::listener {
public:
    void on_outcome(std::size_t sink, engine::attempt_token token,
                    engine::outcome&& outcome) override {
        if (sink != 7) throw std::logic_error("another sink's index");
        if (in_send) throw std::logic_error("an outcome from inside send()");
        if (!outcomes.emplace(token.packed(), std::move(outcome)).second) {
            throw std::logic_error("a second outcome for one attempt");
        }
    }

    void settled(std::size_t) override {
        ++settlings;
        if (when_settled) when_settled();
    }

    void on_notice(std::size_t, std::string) override {}

    std::map<std::uint64_t, engine::outcome> outcomes;
    int settlings = 0;
    bool in_send = false;
    std::function<void()> when_settled;
};

inline event::record plain_record() {
    event::record record;
    record.id = "0b9f1c6e-0000-4000-8000-000000000001";
    record.destination = "/hook";
    record.body = "{}";
    record.body_in_frame = true;
    record.content_type = "application/json";
    return record;
}

class http_fixture {
public:
    explicit http_fixture(const std::string& url) { options.url = url; }

    config::http_sink options;
    config::limits limits;
    boost::asio::io_context loop;
    outcome_log log;
    std::unique_ptr<sink::sink> sink;

    void open() {
        auto made = sink::make_http(loop, options, "workers", 7, limits, log);
        if (!made) throw std::runtime_error(made.error().text());
        sink = std::move(made).value();
    }

    /// Starts an attempt; its number in `log.outcomes`.
    std::uint64_t start(const event::record& record = plain_record()) {
        if (!sink) open();
        log.in_send = true;
        engine::outcome refusal;
        const auto answer = sink->send({1, ++serial_}, 1, record, refusal);
        log.in_send = false;
        REQUIRE(answer == sink::admission::pending);
        return engine::attempt_token{1, serial_}.packed();
    }

    engine::outcome finish(std::uint64_t attempt) {
        run_until([&] { return log.outcomes.contains(attempt); });
        return log.outcomes.at(attempt);
    }

    engine::outcome deliver(const event::record& record = plain_record()) {
        return finish(start(record));
    }

    template <class Condition>
    void run_until(const Condition& condition, std::chrono::milliseconds limit = 15s) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        loop.restart();
        while (!condition()) {
            if (std::chrono::steady_clock::now() >= deadline)
                throw std::runtime_error("nothing came in time");
            loop.run_one_for(10ms);
            if (loop.stopped()) loop.restart();
        }
    }

private:
    std::uint32_t serial_ = 0;
};

}  // namespace walrelay::test
