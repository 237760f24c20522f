// The command line: one function a command, one file each.
#pragma once

#include <cstdint>
#include <string>

namespace walrelay::cli {

/// Exit codes; documented in README.
enum class exit_code : int {
    ok = 0,
    not_ready = 1,
    configuration = 2,
    slot_mismatch = 3,
    slot_lost = 4,
    postgres_out_of_reach = 7,
    invariant_broken = 70,
};

struct common_options {
    std::string config_file;
    bool json = false;  ///< -o json
};

struct sql_options {
    bool apply = false;
    std::string owner_conninfo;  ///< --conninfo: run as the owner instead of source.conninfo
};

struct status_options {
    bool ready_only = false;  ///< --ready: exit 0 or 1, for health checks
};

struct tail_options {
    std::uint64_t count = 0;  ///< --count: end after so many events; 0: never
};

/// Parses the command line and runs one command; never throws.
int main(int argc, char** argv);

exit_code run(const common_options& options);
exit_code check(const common_options& options);
exit_code sql(const common_options& options, const sql_options& what);
exit_code status(const common_options& options, const status_options& what);
exit_code tail(const common_options& options, const tail_options& what);

}  // namespace walrelay::cli
