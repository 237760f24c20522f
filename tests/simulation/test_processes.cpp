#include <csignal>
#include <stdexcept>

#include "simulation/processes.hpp"
#include "support/catch.hpp"

using walrelay::simulation::run_in_processes;

TEST_CASE("a process that crashes is told of by what it was at, and the others give what they have",
          "[processes]") {
    const auto ended = run_in_processes(
        3,
        [](std::size_t number, std::uint64_t& at) -> std::string {
            for (at = 10 * number + 1; at < 10 * number + 5; ++at) {
                if (at == 13) std::raise(SIGKILL);
                if (at == 24) throw std::runtime_error{"no more"};
            }
            return "done";
        },
        60);
    REQUIRE(ended.size() == 3);
    CHECK(ended[0].fault.empty());
    CHECK(ended[0].output == "done");
    CHECK(ended[1].fault == "signal 9 ended it");
    CHECK(ended[1].at == 13);
    CHECK(ended[2].fault == "an exception ended it");
    CHECK(ended[2].output == "no more");
    CHECK(ended[2].at == 24);
}

TEST_CASE("a process that hangs is ended, and told of by what it was at", "[processes]") {
    const auto ended = run_in_processes(
        1,
        [](std::size_t /*number*/, std::uint64_t& at) -> std::string {
            at = 7;
            while (true) {
                volatile std::uint64_t& seen = at;
                if (seen == 0) return {};
            }
        },
        1);
    CHECK(ended[0].fault == "it didn't end in time");
    CHECK(ended[0].at == 7);
}
