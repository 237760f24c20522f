// Runs the steps of install_script.hpp on a server.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "finding.hpp"
#include "install_script.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/config/model.hpp"

namespace walrelay::cli {

struct installation {
    std::vector<install_step> steps;
    std::string conninfo;                  ///< of the owner, or of the sink map
    const config::model* model = nullptr;  ///< nullptr: schema and roles only
    std::string relay_role;
};

struct installed {
    std::vector<finding> findings;  ///< one a step, and what is left to do
    exit_code code = exit_code::ok;
};

/// Runs all steps; after a failure only those that don't build on the failed one. The outcome is
/// filled as it goes, so that what was done is known whatever happens. `plan` and `out` outlive the
/// task.
boost::asio::awaitable<void> install(boost::asio::any_io_executor loop, const installation& plan,
                                     installed& out);

}  // namespace walrelay::cli
