#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>

#include "walrelay/cli/commands.hpp"
#include "walrelay/core/escape.hpp"

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

/// The server would refuse it, without saying which option it came from.
CLI::Validator utf8_text() {
    return {[](std::string& text) -> std::string {
                return is_utf8(text) ? "" : "a text in UTF-8 is expected";
            },
            ""};
}

/// In decimal digits alone: CLI11 would read 010 as eight and 0x10 as sixteen.
CLI::Validator whole_number() {
    return {[](std::string& text) -> std::string {
                std::int64_t value = 0;
                const char* const end = text.data() + text.size();
                const auto [read_to, fault] = std::from_chars(text.data(), end, value);
                if (fault == std::errc{} && read_to == end && text.front() != '0' && value > 0)
                    return "";
                return "a whole number from 1 on is expected, not \"" + printable(text) + '"';
            },
            ""};
}

void add_selectors(CLI::App& command, parked_selection& which) {
    command.add_option("--key", which.key, "only events of this key")->check(utf8_text());
    command
        .add_option("--since", which.since,
                    "only those set aside since then: 30m, 2h, 3d, or a time")
        ->check(utf8_text());
    command.add_option("--error", which.error, "only those whose error is like this; * and ?")
        ->check(utf8_text());
    command.add_option("--sink", which.sink, "only those of this sink; none: no route took them")
        ->check(utf8_text());
}

/// walrelay parked list|show|redrive|drop, pause and resume.
class operator_commands {
public:
    operator_commands(CLI::App& app, common_options& common, std::string& format)
        : parked_{app.add_subcommand("parked", "what is set aside: look, send again, give up")},
          list_{parked_->add_subcommand("list", "what waits, the newest last")},
          show_{parked_->add_subcommand("show", "one row with all that is known of it")},
          redrive_{parked_->add_subcommand("redrive", "have rows sent again")},
          drop_{parked_->add_subcommand("drop", "give rows up")},
          pause_{app.add_subcommand("pause", "have nothing sent to a sink")},
          resume_{app.add_subcommand("resume", "go on with a sink")} {
        parked_->require_subcommand(1);
        for (CLI::App* const one : {list_, show_, redrive_, drop_, pause_, resume_})
            add_config(*one, common, true);
        for (CLI::App* const one : {list_, show_, redrive_, drop_})
            add_output(*one, format);
        add_selectors(*list_, listing_.which);
        list_->add_flag("--all", listing_.which.all, "also what is delivered and dropped");
        list_->add_option("--limit", listing_.limit, "how many rows")
            ->capture_default_str()
            ->check(whole_number());
        show_->add_option("id", shown_, "as list shows it")->required()->check(whole_number());
        for (CLI::App* const one : {redrive_, drop_}) {
            one->add_option("ids", marks_.which.ids, "as list shows them")->check(whole_number());
            add_selectors(*one, marks_.which);
            one->add_flag("--all", marks_.which.all, "all that are parked");
            one->add_flag("--held", marks_.which.held, "also those that wait behind others");
        }
        drop_->add_flag("--yes", marks_.sure, "with --all: it is meant");
        for (CLI::App* const one : {pause_, resume_})
            one->add_option("sink", pause_options_.sink, "its name in the file")->required();
    }

    /// Nothing when the command is another.
    std::optional<exit_code> run(const common_options& common) {
        if (list_->parsed()) return list_parked(common, listing_);
        if (show_->parsed()) return show_parked(common, shown_);
        if (redrive_->parsed() || drop_->parsed()) {
            if (drop_->parsed()) marks_.what = parked_mark_options::action::drop;
            return mark_parked(common, marks_);
        }
        if (!pause_->parsed() && !resume_->parsed()) return std::nullopt;
        pause_options_.paused = pause_->parsed();
        return pause(common, pause_options_);
    }

private:
    CLI::App* parked_;
    CLI::App* list_;
    CLI::App* show_;
    CLI::App* redrive_;
    CLI::App* drop_;
    CLI::App* pause_;
    CLI::App* resume_;
    parked_list_options listing_;
    std::int64_t shown_ = 0;
    parked_mark_options marks_;
    pause_options pause_options_;
};

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
        ->check(whole_number());
    operator_commands operators{app, common, format};

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
    if (const auto code = operators.run(common)) return static_cast<int>(*code);
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
