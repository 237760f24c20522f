// What `status` shows to people. Pure.
#pragma once

#include <string>

#include "status_facts.hpp"

namespace walrelay::cli {

/// Aligned lines: relay, lag, positions, sinks, halt, slot, record, and what holds WAL.
[[nodiscard]] std::string status_page(const status_facts& found);

}  // namespace walrelay::cli
