// walrelay sql: prints what prepares a database, or runs it.
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "install_script.hpp"
#include "installer.hpp"
#include "task.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/config/reader.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/postgres/conninfo_user.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;

namespace {

void complain(const std::string& line) {
    std::fprintf(stderr, "walrelay sql: %s\n", line.c_str());
}

std::string steps_as_json(const std::vector<install_step>& steps) {
    std::string out = "[";
    const char* separator = "\n";
    for (const auto& step : steps) {
        out += separator;
        separator = ",\n";
        out += "  {\"step\": \"";
        append_json_escaped(out, step.title);
        out += "\", \"sql\": \"";
        append_json_escaped(out, step.sql);
        out += "\"}";
    }
    out += "\n]\n";
    return out;
}

/// The sink map, or nothing with all that is wrong on stderr.
std::optional<config::model> read_map(const std::string& file) {
    auto reading = config::read_file(file);
    for (const auto& one : reading.warnings)
        complain("warning: " + one.line());
    for (const auto& one : reading.problems)
        complain(one.line());
    return std::move(reading.model);
}

exit_code apply(const installation& plan, bool json) {
    installed outcome;
    try {
        asio::io_context loop{1};
        run_task(loop, install(loop.get_executor(), plan, outcome));
    } catch (const std::exception& failure) {
        outcome.findings.push_back({severity::stops, "sql", printable(failure.what(), 400), {}});
        outcome.code = exit_code::configuration;
    }
    const auto text =
        json ? findings_as_json(outcome.findings) : findings_as_text(outcome.findings);
    std::fputs(text.c_str(), stdout);
    return outcome.code;
}

}  // namespace

exit_code sql(const common_options& options, const sql_options& what) {
    installation plan;
    plan.conninfo = what.owner_conninfo;
    std::optional<config::model> model;
    if (options.config_file.empty()) {
        plan.steps = install_steps();
        if (what.apply && plan.conninfo.empty()) {
            complain("--apply needs to know where: --conninfo, or -c with a sink map");
            return exit_code::configuration;
        }
    } else {
        model = read_map(options.config_file);
        if (!model) return exit_code::configuration;
        const auto role = postgres::conninfo_user(model->source.conninfo);
        if (role.has_error()) {
            complain(role.error().text());
            return exit_code::configuration;
        }
        plan.relay_role = *role;
        plan.model = &*model;
        plan.steps = install_steps(*model, *role);
        if (plan.conninfo.empty()) plan.conninfo = model->source.conninfo;
    }
    if (what.apply) return apply(plan, options.json);
    const auto text = options.json ? steps_as_json(plan.steps) : as_script(plan.steps);
    std::fputs(text.c_str(), stdout);
    return exit_code::ok;
}

}  // namespace walrelay::cli
