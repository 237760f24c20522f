// Says in the log when something stalls, and when it goes on; each once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "walrelay/admin/snapshot.hpp"

namespace walrelay::relay {

/// What holds a sink, a topic or URL, or a key back, from the snapshots of a running relay.
class stall_log {
public:
    /// Compares with what was said last.
    void look(const admin::snapshot& shown);

private:
    struct said {
        std::string text;
        std::string tells_apart;  ///< said again when this changes
    };

    std::map<std::string, said> said_;  ///< by what stalls
};

}  // namespace walrelay::relay
