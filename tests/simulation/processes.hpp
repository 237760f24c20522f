// Work that is shared out over processes: a run that crashes or hangs is one that is told of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace walrelay::simulation {

struct process_end {
    std::string output;    ///< what the work gave
    std::string fault;     ///< empty, or how the process ended instead
    std::uint64_t at = 0;  ///< what the work was at last, by its own word; 0: it didn't say
};

/// Gets its number, and where to say what it is at: that is still known if it crashes there.
using process_work = std::function<std::string(std::size_t number, std::uint64_t& at)>;

/// `work` for each number below `count`, each in a process of its own, and at most as many at once
/// as there are cores. One that takes longer than `seconds_each` is killed.
[[nodiscard]] std::vector<process_end> run_in_processes(std::size_t count, const process_work& work,
                                                        unsigned seconds_each);

}  // namespace walrelay::simulation
