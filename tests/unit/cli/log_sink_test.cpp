#include "log_sink.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include <spdlog/logger.h>

#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

class pipe_and_log {
public:
    pipe_and_log() {
        REQUIRE(::pipe2(ends_.data(), O_NONBLOCK) == 0);
        REQUIRE(::fcntl(ends_[1], F_SETFL, 0) == 0);  // blocking, as standard error is
        auto sink = std::make_shared<log_sink>(ends_[1]);
        sink->set_pattern("%l %v");
        log = std::make_unique<spdlog::logger>("", std::move(sink));
        log->flush_on(spdlog::level::debug);
    }

    pipe_and_log(const pipe_and_log&) = delete;
    pipe_and_log& operator=(const pipe_and_log&) = delete;

    ~pipe_and_log() {
        stop_reading();
        ::close(ends_[1]);
    }

    /// All that is there, and what is written while it is read.
    std::string read() {
        std::string out;
        std::array<char, 4096> some{};
        while (true) {
            const auto got = ::read(ends_[0], some.data(), some.size());
            if (got <= 0) return out;
            out.append(some.data(), static_cast<std::size_t>(got));
            log->flush();
        }
    }

    void stop_reading() {
        if (ends_[0] >= 0) ::close(ends_[0]);
        ends_[0] = -1;
    }

    std::unique_ptr<spdlog::logger> log;

private:
    std::array<int, 2> ends_{};
};

std::size_t count_of(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

}  // namespace

TEST_CASE(
    "D8: a log that nobody reads keeps its oldest lines, and counts the others where they "
    "would stand") {
    pipe_and_log all;
    const std::string text(95, 'x');
    constexpr std::size_t lines = 5000;  // half a megabyte
    for (std::size_t i = 0; i < lines; ++i)
        all.log->info("{}", text);
    std::string said = all.read();
    const std::size_t kept = count_of(said, "info x");
    CHECK(kept > 2600);
    CHECK(kept < lines);
    CHECK(said.ends_with("\nwarning " + std::to_string(lines - kept) +
                         " lines of the log were lost here: standard error didn't take them\n"));
    all.log->info("and on");
    CHECK(all.read() == "info and on\n");
}

TEST_CASE("D4: lines that a full disk refuses are counted, and cost nothing else") {
    const int full = ::open("/dev/full", O_WRONLY);
    REQUIRE(full >= 0);
    const int disk = ::dup(full);
    auto sink = std::make_shared<log_sink>(disk);
    sink->set_pattern("%l %v");
    spdlog::logger log{"", sink};
    log.flush_on(spdlog::level::debug);
    for (int i = 0; i < 7; ++i)
        log.info("lost");
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    REQUIRE(::dup2(ends[1], disk) == disk);  // room again
    log.info("kept");
    std::array<char, 4096> some{};
    const auto got = ::read(ends[0], some.data(), some.size());
    REQUIRE(got > 0);
    CHECK(std::string(some.data(), static_cast<std::size_t>(got)) ==
          "warning 7 lines of the log were lost here: standard error didn't take them\n"
          "info kept\n");
    for (const int each : {full, disk, ends[0], ends[1]})
        ::close(each);
}

TEST_CASE("D8: a reader of the log that is gone ends nothing") {
    pipe_and_log all;
    all.stop_reading();
    for (int i = 0; i < 100; ++i)
        all.log->error("nobody reads this");
    SUCCEED("the process lives");
}

}  // namespace walrelay::cli
