// Looks at all sinks of a map at the same time.
#pragma once

#include <future>
#include <vector>

#include "finding.hpp"
#include "walrelay/config/model.hpp"

namespace walrelay::cli {

/// What each sink has to say; 5 s a sink at most, side by side. `model` outlives it.
class sink_inspections {
public:
    explicit sink_inspections(const config::model& model);

    /// Waits for all; the findings in the order of the sinks.
    [[nodiscard]] std::vector<finding> take();

private:
    std::vector<std::future<std::vector<finding>>> running_;
};

}  // namespace walrelay::cli
