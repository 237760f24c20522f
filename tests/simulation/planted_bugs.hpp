// What is planted, and what would become of it in production.
#pragma once

#include <string_view>
#include <vector>

#include "walrelay/core/planted.hpp"

namespace walrelay::simulation {

struct planted_bug_note {
    bug which = bug::none;
    std::string_view name;
    std::string_view what;
};

/// All of them, in the order of the enumeration.
[[nodiscard]] const std::vector<planted_bug_note>& planted_bugs();

}  // namespace walrelay::simulation
