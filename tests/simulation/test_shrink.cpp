#include <algorithm>

#include "simulation/planted_bugs.hpp"
#include "simulation/shrink.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using simulation::plot;
using simulation::shrunk;
using simulation::telling;

namespace {

/// Chosen as long as it lives.
struct planting {
    explicit planting(bug which) { planted_bug = which; }

    planting(const planting&) = delete;
    planting& operator=(const planting&) = delete;

    ~planting() { planted_bug = bug::none; }
};

/// With enough faults that there are some to leave out.
std::uint64_t first_broken_seed() {
    constexpr std::size_t enough = 8;
    plot whole;
    whole.tells = true;
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        const telling told = simulation::tell(seed, whole);
        if (!told.broken.empty() && told.faults.size() >= enough) return seed;
    }
    return 0;
}

}  // namespace

TEST_CASE("a seed that breaks a promise shrinks to a short story that breaks the same one",
          "[shrink]") {
    const bug which =
        GENERATE(bug::late_success_taken, bug::other_timeline_ignored, bug::failed_key_not_awaited);
    CAPTURE(static_cast<int>(which));
    const planting planted{which};
    const std::uint64_t seed = first_broken_seed();
    REQUIRE(seed > 0);
    const auto found = simulation::shrink(seed);
    REQUIRE(found);
    CAPTURE(found->whole.broken, found->short_one.broken, found->whole.story.size(),
            found->short_one.story.size());
    CHECK(simulation::promise_of(found->short_one.broken) ==
          simulation::promise_of(found->whole.broken));
    CHECK(found->short_one.story.size() * 2 < found->whole.story.size());
    CHECK(found->short_one.faults.size() * 2 <= found->whole.faults.size());

    const telling again = simulation::tell(seed, found->least);
    CHECK(again.broken == found->short_one.broken);
    CHECK(again.story == found->short_one.story);
}

TEST_CASE("what is left of a shrunk story matters: without the bug it breaks nothing", "[shrink]") {
    plot least;
    std::uint64_t seed = 0;
    {
        const planting planted{bug::late_success_taken};
        seed = first_broken_seed();
        const auto found = simulation::shrink(seed);
        REQUIRE(found);
        least = found->least;
    }
    CHECK(simulation::tell(seed, least).broken.empty());
    CHECK_FALSE(simulation::shrink(seed));
}

TEST_CASE("shrinking ends when its runs are spent", "[shrink]") {
    const planting planted{bug::late_success_taken};
    const auto found = simulation::shrink(first_broken_seed(), {5, std::chrono::seconds{30}});
    REQUIRE(found);
    CHECK(found->runs == 5);
    CHECK_FALSE(found->short_one.broken.empty());
}

TEST_CASE("a promise is the same whatever row, seed and step break it", "[shrink]") {
    CHECK(simulation::promise_of("seed 4, step 70: I6: row 12 was sent before row 7") ==
          "I6: row # was sent before row #");
    CHECK(simulation::promise_of("I15: acknowledged above 1234") == "I15: acknowledged above #");
    CHECK(simulation::promise_of("a sink at 5") == "a sink at #");
}

TEST_CASE("every bug that can be planted has a name and says what it is", "[shrink]") {
    const auto& all = simulation::planted_bugs();
    REQUIRE(all.size() == static_cast<std::size_t>(bug::count_) - 1);
    for (std::size_t i = 0; i < all.size(); ++i) {
        CAPTURE(i, std::string{all[i].name});
        CHECK(static_cast<std::size_t>(all[i].which) == i + 1);
        CHECK_FALSE(all[i].what.empty());
    }
}
