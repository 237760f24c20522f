#include "simulation/world.hpp"
#include "support/catch.hpp"

using walrelay::simulation::rare_states;
using walrelay::simulation::world;

TEST_CASE(
    "two thousand random schedules lose nothing, keep the order of keys, and never acknowledge "
    "early",
    "[simulation]") {
    rare_states reached;
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        CAPTURE(seed);
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
