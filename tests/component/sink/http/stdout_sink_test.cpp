#include "sink/stdout_sink.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "http_fixture.hpp"
#include "walrelay/sink/factory.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

struct pipe_ends {
    pipe_ends() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        reader = ends[0];
        writer = ends[1];
        ::fcntl(reader, F_SETFL, O_NONBLOCK);
    }

    ~pipe_ends() {
        close_reader();
        ::close(writer);
    }

    void close_reader() {
        if (reader >= 0) ::close(reader);
        reader = -1;
    }

    std::string take() const {
        std::array<char, 65536> bytes;
        const ssize_t size = ::read(reader, bytes.data(), bytes.size());
        return size > 0 ? std::string(bytes.data(), static_cast<std::size_t>(size)) : std::string{};
    }

    int reader = -1;
    int writer = -1;
};

template <class Condition>
void run_until(boost::asio::io_context& loop, const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + 15s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= deadline)
            throw std::runtime_error("nothing came in time");
        loop.restart();
        loop.run_one_for(10ms);
    }
}

}  // namespace

TEST_CASE("stdout: an event is delivered once its line is written, and a burst is settled once") {
    pipe_ends pipe;
    boost::asio::io_context loop;
    outcome_log log;
    sink::stdout_sink out{loop, "console", 7, log, pipe.writer};
    engine::outcome refusal;
    for (std::uint32_t i = 0; i < 3; ++i) {
        CHECK(out.send({i, 0}, 1, plain_record(), refusal) == sink::admission::pending);
    }
    CHECK(pipe.take().empty());
    CHECK(out.in_flight() == 3);
    loop.run();
    CHECK(log.outcomes.size() == 3);
    CHECK(log.settlings == 1);
    const std::string text = pipe.take();
    CHECK(std::count(text.begin(), text.end(), '\n') == 3);
    CHECK(out.in_flight() == 0);
    CHECK(out.order() == sink::ordering::pipelined);
}

TEST_CASE("stdout: a reader that is slow makes the sink full, and gets every byte once it reads") {
    pipe_ends pipe;
    boost::asio::io_context loop;
    outcome_log log;
    sink::stdout_sink out{loop, "console", 7, log, pipe.writer};
    const std::string body(10'000, 'x');
    auto record = plain_record();
    record.body = body;
    record.content_type = "text/plain";
    engine::outcome refusal;
    std::uint32_t sent = 0;
    while (out.send({sent, 0}, 1, record, refusal) == sink::admission::pending) {
        ++sent;
        loop.restart();
        loop.poll();
    }
    CHECK(sent > 100);
    CHECK(log.outcomes.size() < sent);
    std::string text;
    run_until(loop, [&] {
        text += pipe.take();
        return log.outcomes.size() == sent;
    });
    for (std::string more; !(more = pipe.take()).empty();)
        text += more;
    CHECK(std::count(text.begin(), text.end(), '\n') == sent);
    CHECK(text.size() % sent == 0);
    CHECK(log.settlings >= 1);
    CHECK(out.send({sent, 0}, 1, record, refusal) == sink::admission::pending);
    CHECK((::fcntl(pipe.writer, F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("stdout: a reader that has left is an outcome of the sink, not the end of the process") {
    pipe_ends pipe;
    boost::asio::io_context loop;
    outcome_log log;
    sink::stdout_sink out{loop, "console", 7, log, pipe.writer};
    pipe.close_reader();
    engine::outcome refusal;
    for (std::uint32_t i = 0; i < 2; ++i)
        out.send({i, 0}, 1, plain_record(), refusal);
    loop.run();
    REQUIRE(log.outcomes.size() == 2);
    for (const auto& [token, outcome] : log.outcomes) {
        CHECK(outcome.what == outcome_class::endpoint);
        CHECK(outcome.reason == "write to stdout: Broken pipe");
    }
    CHECK(out.in_flight() == 0);
}

TEST_CASE("stdout: a full disk is transient") {
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);
    boost::asio::io_context loop;
    outcome_log log;
    sink::stdout_sink out{loop, "console", 7, log, full};
    engine::outcome refusal;
    out.send({1, 0}, 1, plain_record(), refusal);
    loop.run();
    REQUIRE(log.outcomes.size() == 1);
    CHECK(log.outcomes.begin()->second.what == outcome_class::transient);
    ::close(full);
}

TEST_CASE("stdout: a sink that goes away with lines to write is never heard of again") {
    pipe_ends pipe;
    boost::asio::io_context loop;
    outcome_log log;
    {
        sink::stdout_sink out{loop, "console", 7, log, pipe.writer};
        engine::outcome refusal;
        out.send({1, 0}, 1, plain_record(), refusal);
    }
    loop.run();
    CHECK(log.outcomes.empty());
}

TEST_CASE("the factory opens each kind by its own entry, and discard takes everything at once") {
    boost::asio::io_context loop;
    outcome_log log;
    engine::outcome refusal;
    const auto discard = sink::make(loop, {"nothing", config::discard_sink{}, {}}, 7, {}, log);
    REQUIRE(discard.has_value());
    CHECK((*discard)->send({1, 0}, 1, plain_record(), refusal) == sink::admission::delivered);
    CHECK((*discard)->order() == sink::ordering::pipelined);
    config::http_sink http;
    http.url = "http://127.0.0.1:1/";
    const auto opened = sink::make(loop, {"workers", http, {}}, 7, {}, log);
    REQUIRE(opened.has_value());
    CHECK((*opened)->order() == sink::ordering::serial);
    http.url = "x";
    CHECK_FALSE(sink::make(loop, {"workers", http, {}}, 7, {}, log).has_value());
    CHECK(sink::make(loop, {"console", config::stdout_sink{}, {}}, 7, {}, log).has_value());
}
