// Asks the relay that may run here, over its admin endpoint.
#pragma once

#include <optional>
#include <string>

#include "walrelay/config/model.hpp"

namespace walrelay::cli {

/// The body of GET /status (admin::to_json), not parsed. Nothing where nobody answers 200 within
/// 3 s.
[[nodiscard]] std::optional<std::string> ask_relay(const config::admin& admin);

/// Why admin.listen can't be taken now, in the system's words; empty when it can.
[[nodiscard]] std::string bind_fault(const config::admin& admin);

}  // namespace walrelay::cli
