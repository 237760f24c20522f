// What the answer of an HTTP endpoint means.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/engine/outcome.hpp"

namespace walrelay::sink::http {

/// The parts of a final answer that decide the outcome.
struct answer {
    int status = 0;
    std::optional<std::chrono::milliseconds> retry_after;
    std::string_view location;  ///< empty where there is none
};

/// The table "Outcomes" of the architecture. A status in `success` is a delivery whatever it is.
/// Redirects are never followed: a row or an endpoint would choose where the next request goes. The
/// reason holds the status, of a Location the host alone, and nothing else that the endpoint wrote.
[[nodiscard]] engine::outcome outcome_of(const answer& got,
                                         const std::vector<config::status_range>& success);

}  // namespace walrelay::sink::http
