// ./dev sim [--seeds N] [--from S] [--story SEED]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simulation/arguments.hpp"
#include "simulation/processes.hpp"
#include "simulation/shrink.hpp"
#include "simulation/world.hpp"

namespace {

using namespace walrelay::simulation;

constexpr std::uint64_t seeds_a_process = 500;
constexpr unsigned seconds_a_process = 600;
constexpr std::uint64_t seeds_to_reach_all = 500;
constexpr std::size_t most_told = 10;

struct verdict {
    rare_states reached;
    std::uint64_t broken = 0;
    std::vector<std::string> told;
    std::optional<std::uint64_t> first_broken;  ///< whose story can be told: it didn't crash

    void note(const std::string& line) {
        ++broken;
        if (told.size() < most_told) told.push_back(line);
    }
};

/// The counts, then a line for each broken seed: its number and what broke.
std::string run_seeds(std::uint64_t from, std::uint64_t end, std::uint64_t& at) {
    rare_states reached;
    std::string broken;
    for (std::uint64_t seed = from; seed < end; ++seed) {
        at = seed;
        try {
            world one{seed};
            one.run();
            reached += one.reached();
        } catch (const std::exception& failure) {
            broken += std::to_string(seed) + ' ' + failure.what() + '\n';
        }
    }
    return reached.packed() + broken;
}

verdict run_all(std::uint64_t from, std::uint64_t seeds) {
    const auto begin_of = [&](std::size_t part) {
        return from + std::min(seeds, part * seeds_a_process);
    };
    const std::size_t parts = (seeds + seeds_a_process - 1) / seeds_a_process;
    const auto ended = run_in_processes(
        parts,
        [&](std::size_t part, std::uint64_t& at) {
            return run_seeds(begin_of(part), begin_of(part + 1), at);
        },
        seconds_a_process);
    verdict all;
    for (std::size_t part = 0; part < ended.size(); ++part) {
        if (!ended[part].fault.empty()) {
            all.note("seed " + std::to_string(ended[part].at) + ": " + ended[part].fault + ' ' +
                     ended[part].output + " (nothing is known of the others from " +
                     std::to_string(begin_of(part)) + " to " +
                     std::to_string(begin_of(part + 1) - 1) + ')');
            continue;
        }
        std::string_view rest = ended[part].output;
        all.reached += rare_states::unpack(rest);
        while (!rest.empty()) {
            const std::string line{rest.substr(0, rest.find('\n'))};
            rest.remove_prefix(line.size() + 1);
            const std::size_t space = line.find(' ');
            if (!all.first_broken) all.first_broken = std::stoull(line);
            all.note("seed " + line.substr(0, space) + ": " + line.substr(space + 1));
        }
    }
    return all;
}

}  // namespace

int main(int argc, char** argv) {
    arguments given{argc, argv};
    const std::uint64_t seeds = given.number("--seeds", 2000);
    const std::uint64_t from = given.number("--from", 1);
    const std::uint64_t story = given.number("--story", 0);
    given.done();
    if (story > 0) {
        std::printf("%s", story_of(story).c_str());
        return 0;
    }
    verdict all = run_all(from, seeds);
    for (const std::string& line : all.told)
        std::printf("BROKEN %s\n", line.c_str());
    for (const auto& [name, count] : all.reached.counts()) {
        std::printf("%12llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
        if (count > 0 || seeds < seeds_to_reach_all) continue;
        std::printf("BROKEN: this state was never reached, so nothing is known of it\n");
        ++all.broken;
    }
    if (all.first_broken) {
        std::printf("\nThe story of seed %llu:\n%s\n",
                    static_cast<unsigned long long>(*all.first_broken),
                    story_of(*all.first_broken).c_str());
    }
    std::printf("%llu seeds from %llu, %llu broken\n", static_cast<unsigned long long>(seeds),
                static_cast<unsigned long long>(from), static_cast<unsigned long long>(all.broken));
    return all.broken == 0 ? 0 : 1;
}
