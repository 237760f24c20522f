#include "simulation/world.hpp"
#include "support/catch.hpp"

using walrelay::simulation::rare_states;
using walrelay::simulation::world;

namespace {

// A sanitizer looks at what is done, not at how often: fewer runs, at a seventh of the pace.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t schedules = 500;
#else
constexpr std::uint64_t schedules = 2000;
#endif

}  // namespace

TEST_CASE(
    "hundreds of random schedules lose nothing, keep the order of keys, and never acknowledge "
    "early",
    "[simulation]") {
    rare_states reached;
    for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
        INFO("its story: ./dev sim --seeds 1 --from " << seed);
        world one{seed};
        REQUIRE_NOTHROW(one.run());
        reached += one.reached();
    }
    for (const auto& [name, count] : reached.counts()) {
        CAPTURE(name);
        CHECK(count > 0);
    }
}

TEST_CASE("a seed replays exactly", "[simulation]") {
    world first{4711};
    world second{4711};
    first.run();
    second.run();
    CHECK(first.reached().counts() == second.reached().counts());
}
