#include "walrelay/sink/outlet.hpp"

#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>

#include "support/catch.hpp"

namespace walrelay::sink {

namespace {

struct pipe_ends {
    pipe_ends() { REQUIRE(::pipe(both.data()) == 0); }

    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;

    ~pipe_ends() {
        for (const int one : both)
            ::close(one);
    }

    /// Reads up to so many bytes of what is there.
    std::string take(std::size_t bytes) {
        std::string out(bytes, '\0');
        const auto got = ::read(both[0], out.data(), bytes);
        REQUIRE(got >= 0);
        out.resize(static_cast<std::size_t>(got));
        return out;
    }

    std::array<int, 2> both{};
};

TEST_CASE("a reader that is always behind costs no memory, and gets every byte") {
    pipe_ends pipe;
    outlet out{pipe.both[1]};
    const std::string line = std::string(999, 'x') + '\n';
    constexpr std::size_t waiting_bytes = 200'000;  // more than a pipe holds
    std::size_t appended = 0;
    std::size_t taken = 0;
    while (taken < 20'000'000) {
        while (out.waiting_bytes() < waiting_bytes) {
            out.waiting() += line;
            appended += line.size();
        }
        REQUIRE(out.write_out() == outlet::progress::blocked);
        taken += pipe.take(50'000).size();
        if (out.waiting().capacity() > 8'000'000) FAIL("the buffer grows");
    }
    CHECK(out.appended() == appended);
    CHECK(out.reached() <= appended);
    CHECK(out.reached() >= taken);
}

TEST_CASE("what is given up in the middle of a line says so") {
    pipe_ends pipe;
    outlet out{pipe.both[1]};
    out.waiting() = std::string(4'000'000, 'x') + '\n';  // more than is kept of what was written
    REQUIRE(out.write_out() == outlet::progress::blocked);
    for (int i = 0; i < 60; ++i) {
        static_cast<void>(pipe.take(65'536));
        static_cast<void>(out.write_out());
    }
    CHECK(out.reached() > 2'000'000);
    CHECK(out.give_up());
    CHECK(out.waiting_bytes() == 0);
    out.waiting() = "y\n";
    CHECK_FALSE(out.give_up());
}

}  // namespace

}  // namespace walrelay::sink
