#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "walrelay/cli/commands.hpp"

namespace walrelay::cli {

namespace {

void add_config(CLI::App& command, common_options& options, bool required) {
    auto* const file = command.add_option("-c,--config", options.config_file,
                                          "the YAML file (config/reference.yaml has every option)");
    if (required) file->required();
}

void add_output(CLI::App& command, std::string& format) {
    command.add_option("-o,--output", format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->default_str("text");
}

/// One that was closed before the start would be given to the next connection that is opened, and
/// what is printed would go to a database or a broker. Opened for reading, so that writing fails: a
/// sink on a closed stdout must not look like one that delivers.
void occupy_standard_descriptors() {
    for (const int each : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(each, F_GETFD) < 0) static_cast<void>(::open("/dev/null", O_RDONLY));
    }
}

int parse_and_run(int argc, char** argv) {
    CLI::App app{"walrelay delivers committed outbox rows of Postgres to Kafka and HTTP",
                 "walrelay"};
    app.set_version_flag("--version", std::string{"walrelay "} + WALRELAY_VERSION);
    app.require_subcommand(1);
    common_options common;
    sql_options sql_flags;
    status_options status_flags;
    tail_options tail_flags;
    std::string format = "text";

    auto* const run_command = app.add_subcommand("run", "run the relay until SIGTERM");
    add_config(*run_command, common, true);
    auto* const check_command = app.add_subcommand(
        "check", "look for everything that would stop or hurt the relay, and say what mends it");
    add_config(*check_command, common, true);
    add_output(*check_command, format);
    auto* const sql_command = app.add_subcommand(
        "sql", "print the SQL that installs schema, roles, publication and slot");
    add_config(*sql_command, common, false);
    add_output(*sql_command, format);
    sql_command->add_flag("--apply", sql_flags.apply, "run it instead of printing it");
    sql_command->add_option("--conninfo", sql_flags.owner_conninfo,
                            "connect as the owner of the database, not as source.conninfo says");
    auto* const status_command =
        app.add_subcommand("status", "show positions, lag, and what holds the WAL");
    add_config(*status_command, common, true);
    add_output(*status_command, format);
    status_command->add_flag("--ready", status_flags.ready_only,
                             "only exit 0 (ready) or 1: for health checks");
    auto* const tail_command = app.add_subcommand(
        "tail", "follow on a temporary slot and print each event as it would be sent");
    add_config(*tail_command, common, true);
    add_output(*tail_command, format);
    tail_command->add_option("--count", tail_flags.count, "end after so many events")
        ->check(CLI::PositiveNumber);

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? 0 : static_cast<int>(exit_code::configuration);
    }
    common.json = format == "json";
    if (run_command->parsed()) return static_cast<int>(run(common));
    if (check_command->parsed()) return static_cast<int>(check(common));
    if (sql_command->parsed()) return static_cast<int>(sql(common, sql_flags));
    if (tail_command->parsed()) return static_cast<int>(tail(common, tail_flags));
    return static_cast<int>(status(common, status_flags));
}

}  // namespace

int main(int argc, char** argv) {
    occupy_standard_descriptors();
    try {
        return parse_and_run(argc, argv);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "walrelay: %s\n", failure.what());
        return static_cast<int>(exit_code::invariant_broken);
    }
}

}  // namespace walrelay::cli
