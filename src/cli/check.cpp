// walrelay check: what would stop or hurt the relay, with what mends it.
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "check_queries.hpp"
#include "check_sinks.hpp"
#include "judge.hpp"
#include "judge_local.hpp"
#include "task.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/config/reader.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;

namespace {

asio::awaitable<void> look(asio::io_context& loop, const judged_map& map,
                           std::vector<finding>& out) {
    const auto executor = loop.get_executor();
    postgres::connect_options options;
    options.conninfo = map.model.source.conninfo;
    options.application_name = "walrelay check";
    auto link = co_await postgres::connection::open(executor, options);
    if (!link) {
        out.push_back(judge_connection(link.error()));
        co_return;
    }
    out.push_back({severity::ok, "connection", printable((*link)->where()), {}});
    auto found = co_await gather_facts(**link, map.model);
    if (!found) {
        out.push_back(judge_connection(found.error()));
        co_return;
    }
    auto refused = co_await try_replication(executor, map.model.source.conninfo);
    found->replication_error = std::move(refused);
    for (auto& one : judge(*found, map))
        out.push_back(std::move(one));
}

exit_code show(const std::vector<finding>& findings, bool json) {
    const auto text =
        json ? findings_as_json(findings) : findings_as_text(findings) + summary(findings);
    std::fputs(text.c_str(), stdout);
    return any_stops(findings) ? exit_code::configuration : exit_code::ok;
}

}  // namespace

exit_code check(const common_options& options) {
    std::vector<finding> findings;
    const auto reading = config::read_file(options.config_file);
    for (const auto& one : reading.problems) {
        findings.push_back({severity::stops, "config", one.line(), {}});
    }
    for (const auto& one : reading.warnings) {
        findings.push_back({severity::warns, "config", one.line(), {}});
    }
    if (!reading.model) return show(findings, options.json);
    if (reading.problems.empty())
        findings.push_back({severity::ok, "config", options.config_file, {}});
    const judged_map map{*reading.model, options.config_file};
    sink_inspections sinks{*reading.model};
    const auto append = [&findings](std::vector<finding> more) {
        for (auto& one : more)
            findings.push_back(std::move(one));
    };
    append(judge_local(gather_local(*reading.model, options.config_file), *reading.model,
                       options.config_file));
    try {
        asio::io_context loop{1};
        run_task(loop, look(loop, map, findings));
    } catch (const std::exception& failure) {
        findings.push_back({severity::stops, "check", printable(failure.what(), 400), {}});
    }
    append(sinks.take());
    return show(findings, options.json);
}

}  // namespace walrelay::cli
