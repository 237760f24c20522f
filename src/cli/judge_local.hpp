// What this host says: the port of the admin endpoint, and who may read the files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "finding.hpp"
#include "walrelay/config/model.hpp"

namespace walrelay::cli {

struct local_facts {
    std::string bind_fault;                     ///< why admin.listen can't be taken; empty: it can
    std::optional<std::string> answering_slot;  ///< a relay answers there, and serves this slot
    /// Options of the sink map that hold a secret as it is, where others may read the file.
    std::vector<std::string> open_secrets;
    std::vector<std::string> open_keys;  ///< private keys of TLS that others may read
};

/// Looks; blocks for some seconds at most.
[[nodiscard]] local_facts gather_local(const config::model& model, const std::string& file);

/// Pure.
[[nodiscard]] std::vector<finding> judge_local(const local_facts& found, const config::model& model,
                                               const std::string& file);

/// The options whose secret stands in the text of the sink map itself, and not behind ${env:} or
/// ${file:}. Pure.
[[nodiscard]] std::vector<std::string> written_secrets(const config::model& model,
                                                       std::string_view yaml);

}  // namespace walrelay::cli
