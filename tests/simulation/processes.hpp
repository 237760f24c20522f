// Work that is shared out over processes: a run that crashes or hangs is one that is told of.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace walrelay::simulation {

struct process_end {
    std::string output;  ///< what the work gave
    std::string fault;   ///< empty, or how the process ended instead
};

/// `work(i)` for each i below `count`, each in a process of its own, and at most as many at once as
/// there are cores. One that takes longer than `seconds_each` is killed.
[[nodiscard]] std::vector<process_end> run_in_processes(
    std::size_t count, const std::function<std::string(std::size_t)>& work, unsigned seconds_each);

}  // namespace walrelay::simulation
