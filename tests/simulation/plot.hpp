// What of a seed's run is left out, to find out what matters.
#pragma once

#include <cstdint>
#include <set>

namespace walrelay::simulation {

/// The rest of a run happens as before as far as it can: each step and each transaction draws
/// numbers of its own, and everything keeps its name.
struct plot {
    std::set<std::uint64_t> steps_left_out;   ///< before all is healthy: nothing happens at them
    std::set<std::uint64_t> rows_left_out;    ///< by the order in which they are drawn
    std::set<std::uint64_t> faults_left_out;  ///< as world::faults_met() names them
    bool tells = false;                       ///< the story is kept
};

}  // namespace walrelay::simulation
