// What of a seed's run is left out, to find out what matters.
#pragma once

#include <cstdint>
#include <set>

namespace walrelay::simulation {

/// A run draws the same numbers whatever is left out, so that the rest of it happens as before as
/// far as it can.
struct plot {
    std::set<std::uint64_t> rows_left_out;    ///< by the order in which they are drawn
    std::set<std::uint64_t> faults_left_out;  ///< likewise
    bool tells = false;                       ///< the story is kept
};

}  // namespace walrelay::simulation
