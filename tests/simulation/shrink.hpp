// From a seed that breaks a promise to the few events that it takes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "simulation/plot.hpp"

namespace walrelay::simulation {

/// How one run went.
struct telling {
    std::string broken;  ///< the promise, where and when; empty: none
    std::vector<std::string> story;
    std::uint64_t steps = 0;  ///< while things break
    std::uint64_t rows = 0;   ///< drawn
    std::vector<std::uint64_t> faults;
};

/// The same each time. A story is kept if the plot asks for it.
[[nodiscard]] telling tell(std::uint64_t seed, const plot& told);

/// Without seed, step and numbers: of two runs that break the same promise it is the same.
[[nodiscard]] std::string promise_of(const std::string& broken);

struct shrink_limits {
    std::size_t runs = 2000;
    std::chrono::seconds time{30};
};

struct shrunk {
    plot least;  ///< nothing more can be left out, as far as the limits let us see
    telling whole;
    telling short_one;
    std::size_t runs = 0;
};

/// Leaves out steps, rows and faults while the same promise breaks: halves of them, then smaller
/// parts, then each. Nothing if the seed breaks none.
[[nodiscard]] std::optional<shrunk> shrink(std::uint64_t seed, const shrink_limits& limits = {});

/// The story of a seed: shrunk if it breaks a promise, else the whole of it.
[[nodiscard]] std::string story_of(std::uint64_t seed, const shrink_limits& limits = {});

}  // namespace walrelay::simulation
