// ./dev sim --seeds N --from S
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "simulation/world.hpp"

namespace {

/// The number after `name`, or `fallback`. Ends the program on anything else.
std::uint64_t option(int argc, char** argv, std::string_view name, std::uint64_t fallback) {
    for (int i = 1; i + 1 < argc; i += 2) {
        if (name != argv[i]) continue;
        char* end = nullptr;
        const std::uint64_t value = std::strtoull(argv[i + 1], &end, 10);
        if (*end == '\0' && end != argv[i + 1]) return value;
        std::fprintf(stderr, "%s wants a number, got '%s'\n", argv[i], argv[i + 1]);
        std::exit(2);
    }
    return fallback;
}

}  // namespace

int main(int argc, char** argv) {
    const std::uint64_t seeds = option(argc, argv, "--seeds", 2000);
    const std::uint64_t from = option(argc, argv, "--from", 1);
    if (const std::uint64_t told = option(argc, argv, "--story", 0); told > 0) {
        walrelay::simulation::plot plot;
        plot.tells = true;
        walrelay::simulation::world one{told, plot};
        try {
            one.run();
        } catch (const std::exception& failure) {
            for (const std::string& line : one.story())
                std::printf("%s\n", line.c_str());
            std::printf("BROKEN %s\n", failure.what());
            return 1;
        }
        return 0;
    }
    walrelay::simulation::rare_states reached;
    std::uint64_t broken = 0;
    for (std::uint64_t seed = from; seed < from + seeds; ++seed) {
        try {
            walrelay::simulation::world one{seed};
            one.run();
            reached += one.reached();
        } catch (const std::exception& failure) {
            ++broken;
            if (broken <= 10)
                std::printf("BROKEN seed %llu: %s\n", static_cast<unsigned long long>(seed),
                            failure.what());
        }
    }
    for (const auto& [name, count] : reached.counts()) {
        std::printf("%12llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
        if (count == 0 && seeds >= 500) {
            std::printf("BROKEN: this state was never reached, so nothing is known of it\n");
            ++broken;
        }
    }
    std::printf("%llu seeds from %llu, %llu broken\n", static_cast<unsigned long long>(seeds),
                static_cast<unsigned long long>(from), static_cast<unsigned long long>(broken));
    return broken == 0 ? 0 : 1;
}
