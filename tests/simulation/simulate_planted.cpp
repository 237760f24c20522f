// ./dev sim --planted [--seeds N] [--bug NAME]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "simulation/arguments.hpp"
#include "simulation/planted_bugs.hpp"
#include "simulation/processes.hpp"
#include "simulation/shrink.hpp"
#include "simulation/world.hpp"
#include "walrelay/engine/invariant.hpp"

namespace {

using namespace walrelay;
using namespace walrelay::simulation;

constexpr unsigned seconds_a_bug = 120;

/// Seeds from 1 until one breaks a promise: the seed and the promise, or nothing. What else the
/// bug throws is no promise: it leaves, and is told as a crash.
std::string hunt(const planted_bug_note& planted, std::uint64_t seeds, std::uint64_t& at) {
    planted_bug = planted.which;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        at = seed;
        try {
            world one{seed};
            one.run();
        } catch (const broken_promise& broken) {
            return std::to_string(seed) + ' ' + promise_of(broken.what());
        } catch (const engine::invariant_violation& broken) {
            return std::to_string(seed) + ' ' + broken.what() + " (at run time)";
        }
    }
    return {};
}

int tell_one(const std::string& name) {
    for (const planted_bug_note& one : planted_bugs()) {
        if (one.name != name) continue;
        std::uint64_t at = 0;
        const std::string caught = hunt(one, 2000, at);
        if (caught.empty()) return std::printf("not caught\n"), 1;
        std::printf("%s", story_of(std::stoull(caught)).c_str());
        return 0;
    }
    std::fprintf(stderr, "no planted bug '%s'\n", name.c_str());
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    arguments given{argc, argv};
    const std::uint64_t seeds = given.number("--seeds", 2000);
    const auto told = given.text("--bug");
    given.done();
    if (told) return tell_one(*told);

    const std::vector<planted_bug_note>& all = planted_bugs();
    const auto ended = run_in_processes(
        all.size(), [&](std::size_t i, std::uint64_t& at) { return hunt(all[i], seeds, at); },
        seconds_a_bug);
    std::size_t missed = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::string seed = "never";
        std::string promise = "NOT CAUGHT";
        if (!ended[i].fault.empty()) {
            promise = "NOT CAUGHT: at seed " + std::to_string(ended[i].at) + ' ' + ended[i].fault +
                      ' ' + ended[i].output;
            ++missed;
        } else if (ended[i].output.empty()) {
            ++missed;
        } else {
            const std::size_t space = ended[i].output.find(' ');
            seed = ended[i].output.substr(0, space);
            promise = ended[i].output.substr(space + 1);
        }
        std::printf("%-30s %5s  %s\n%38s%s\n", std::string{all[i].name}.c_str(), seed.c_str(),
                    std::string{all[i].what}.c_str(), "", promise.c_str());
    }
    std::printf("%zu planted bugs, %zu not caught within %llu seeds\n", all.size(), missed,
                static_cast<unsigned long long>(seeds));
    return missed == 0 && !all.empty() ? 0 : 1;
}
