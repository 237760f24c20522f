// What a new sink map would change in a relay that runs.
#pragma once

#include <string>
#include <vector>

#include "walrelay/config/model.hpp"

namespace walrelay::config {

struct changes {
    /// What can't change while the relay runs; each names the option. Holds no secret.
    std::vector<std::string> need_restart;
    /// Which rows go where, or under which limits: only with nothing in flight. Else the sinks
    /// alone are made anew, by the same options or by others, as the files that they name may have
    /// changed.
    bool map = false;
    bool conninfo = false;  ///< where Postgres is, or how it is logged in to
};

[[nodiscard]] changes compare(const model& running, const model& fresh);

}  // namespace walrelay::config
