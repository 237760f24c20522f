// The command line: one function a command, one file each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace walrelay::cli {

/// Exit codes; documented in README.
enum class exit_code : int {
    ok = 0,
    not_ready = 1,
    nothing_matched = 1,
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

struct parked_selection {
    std::vector<std::int64_t> ids;
    bool all = false;   ///< --all
    bool held = false;  ///< --held: with those that only wait behind others
    std::optional<std::string> key;
    std::optional<std::string> since;  ///< a duration or a time
    std::optional<std::string> error;  ///< glob
    std::optional<std::string> sink;   ///< "none": those that no route took
};

struct parked_list_options {
    parked_selection which;  ///< `all` adds what is delivered and dropped
    std::uint64_t limit = 100;
};

struct parked_mark_options {
    enum class action : std::uint8_t { redrive, drop };

    action what = action::redrive;
    parked_selection which;
    bool sure = false;  ///< --yes: drop all of them
};

struct pause_options {
    std::string sink;
    bool paused = true;  ///< false: resume
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
exit_code list_parked(const common_options& options, const parked_list_options& what);
exit_code show_parked(const common_options& options, std::int64_t id);
exit_code mark_parked(const common_options& options, const parked_mark_options& what);
exit_code pause(const common_options& options, const pause_options& what);

}  // namespace walrelay::cli
