// walrelay parked, pause and resume: what operators see and wish. They write marks; the relay that
// reads the slot does what the marks say.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>

#include <nlohmann/json.hpp>

#include "install_script.hpp"
#include "parked_page.hpp"
#include "parked_queries.hpp"
#include "parked_selection.hpp"
#include "task.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/config/reader.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;

using postgres::connection;
using postgres::sql_error;

namespace {

void complain(const std::string& line) {
    std::fprintf(stderr, "walrelay: %s\n", line.c_str());
}

exit_code refused(const std::string& why) {
    complain(why);
    return exit_code::configuration;
}

exit_code failed(const sql_error& failure) {
    complain(failure.what.text());
    const bool unreachable = failure.sqlstate.empty();
    return unreachable ? exit_code::postgres_out_of_reach : exit_code::configuration;
}

/// The server reads the time of --since; all else that it is given is well-formed, though not every
/// database has every letter of it (22P05, 22021).
exit_code failed(const sql_error& failure, const parked_selection& which) {
    const std::string& code = failure.sqlstate;
    if (!which.since || !code.starts_with("22") || code == "22P05" || code == "22021")
        return failed(failure);
    return refused(
        "--since: a duration (90s, 30m, 2h, 3d; up to 999999) or a time "
        "(2026-01-31 12:00) is expected, not \"" +
        printable(*which.since) + "\"");
}

using work = std::function<asio::awaitable<exit_code>(connection&, const config::model&)>;

/// Reads the file, connects as it says, and runs the work.
exit_code with_database(const common_options& options, const work& what) {
    const config::reading read = config::read_file(options.config_file);
    for (const config::problem& problem : read.problems)
        std::fprintf(stderr, "%s\n", problem.line().c_str());
    if (!read.model) return exit_code::configuration;
    exit_code code = exit_code::ok;
    asio::io_context loop{1};
    const auto task = [&]() -> asio::awaitable<void> {
        postgres::connect_options wanted;
        wanted.conninfo = read.model->source.conninfo;
        wanted.application_name = "walrelay parked";
        auto link = co_await connection::open(loop.get_executor(), wanted);
        if (!link) {
            code = failed(link.error());
        } else {
            code = co_await what(**link, *read.model);
        }
    };
    run_task(loop, task());
    return code;
}

/// 0 where nobody looks: nothing is cut for a file or a pipe.
std::size_t terminal_width() {
    winsize size{};
    if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

bool has_sink(const config::model& model, const std::string& name) {
    for (const config::sink& one : model.sinks)
        if (one.name == name) return true;
    return false;
}

std::string no_sink(const config::model& model, const std::string& name, const std::string& file) {
    std::string known;
    for (const config::sink& one : model.sinks)
        known += (known.empty() ? "" : ", ") + printable(one.name);
    return "sink \"" + printable(name) + "\" is not in " + file + ", which has: " + known;
}

/// Why no mark can be written now; ok where one can.
asio::awaitable<exit_code> look_at_publication(connection& link, const config::model& model) {
    const auto published = co_await marks_are_published(link, model.source.publications);
    if (!published) co_return failed(published.error());
    if (*published) co_return exit_code::ok;
    co_return refused(
        "no publication of the file sends walrelay.redrive, so that the relay would "
        "never hear of it; fix: " +
        publish_marks_sql(model.source.publications.front()));
}

std::string plural(std::uint64_t count, const char* one, const char* many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

void print_marked(std::uint64_t count, bool redrives, const std::string& slot, bool json) {
    if (json) {
        const nlohmann::ordered_json shown = {
            {"action", redrives ? "redrive" : "drop"}, {"slot", slot}, {"rows", count}};
        std::printf("%s\n", shown.dump().c_str());
        return;
    }
    const std::string name = "the relay of slot \"" + printable(slot) + "\"";
    std::printf("%s marked: %s %s, or once it is started\n",
                plural(count, "row is", "rows are").c_str(), name.c_str(),
                redrives ? "sends them again by the routes of its file, now"
                         : "gives them up, and what waits behind them goes on, now");
}

/// The ids that are named and that can't be meant are told one by one; the others count.
asio::awaitable<exit_code> mark(connection& link, const config::model& model,
                                const common_options& options, const parked_mark_options& what) {
    const std::string& slot = model.source.slot;
    const bool redrives = what.what == parked_mark_options::action::redrive;
    const auto& sink = what.which.sink;
    if (redrives && sink && *sink != "none" && !has_sink(model, *sink))
        co_return refused(no_sink(model, *sink, options.config_file));
    const exit_code able = co_await look_at_publication(link, model);
    if (able != exit_code::ok) co_return able;
    if (!what.which.ids.empty()) {
        const auto misfits = co_await find_misfits(link, slot, what.which.ids);
        if (!misfits) co_return failed(misfits.error());
        for (const parked_misfit& one : *misfits)
            complain("row " + std::to_string(one.id) + " " + printable(one.why));
    }
    const auto marked = co_await write_marks(link, slot, what);
    if (!marked) co_return failed(marked.error(), what.which);
    if (*marked == 0) {
        complain("nothing is marked: no row of slot \"" + printable(slot) +
                 "\" that waits is meant; walrelay parked list -c " + options.config_file +
                 " shows them");
        co_return exit_code::nothing_matched;
    }
    print_marked(*marked, redrives, slot, options.json);
    co_return exit_code::ok;
}

}  // namespace

exit_code list_parked(const common_options& options, const parked_list_options& what) {
    return with_database(
        options, [&](connection& link, const config::model& model) -> asio::awaitable<exit_code> {
            const auto list = co_await read_parked_list(link, model.source.slot, what);
            if (!list) co_return failed(list.error(), what.which);
            const auto text =
                options.json ? parked_json(*list) : parked_table(*list, terminal_width());
            std::fputs(text.c_str(), stdout);
            co_return exit_code::ok;
        });
}

exit_code show_parked(const common_options& options, std::int64_t id) {
    return with_database(
        options, [&](connection& link, const config::model& model) -> asio::awaitable<exit_code> {
            auto found = co_await read_parked(link, id);
            if (!found) co_return failed(found.error());
            const std::string name = "row " + std::to_string(id);
            if (!*found) {
                complain(name + ": there is no such row in walrelay.parked");
                co_return exit_code::nothing_matched;
            }
            if ((*found)->slot != model.source.slot) {
                complain(name + " belongs to slot \"" + printable((*found)->slot) +
                         "\": use the file of that relay");
                co_return exit_code::nothing_matched;
            }
            const auto text = options.json ? parked_page_json(std::move(**found), model)
                                           : parked_page(std::move(**found), model);
            std::fputs(text.c_str(), stdout);
            co_return exit_code::ok;
        });
}

exit_code mark_parked(const common_options& options, const parked_mark_options& what) {
    const bool redrives = what.what == parked_mark_options::action::redrive;
    if (selects_nothing(what.which)) {
        return refused(
            "say which rows: IDs, --key, --since, --error, --sink, or --all of those "
            "that are parked");
    }
    if (what.which.all && !what.which.ids.empty())
        return refused("IDs and --all exclude each other: name rows, or take all that are parked");
    if (!redrives && what.which.all && !what.sure)
        return refused("drop --all gives every parked row up: add --yes if that is meant");
    return with_database(options, [&](connection& link, const config::model& model) {
        return mark(link, model, options, what);
    });
}

exit_code pause(const common_options& options, const pause_options& what) {
    return with_database(
        options, [&](connection& link, const config::model& model) -> asio::awaitable<exit_code> {
            if (!has_sink(model, what.sink))
                co_return refused(no_sink(model, what.sink, options.config_file));
            const exit_code able = co_await look_at_publication(link, model);
            if (able != exit_code::ok) co_return able;
            const auto done = co_await write_pause(link, model.source.slot, what);
            if (!done) co_return failed(done.error());
            const std::string name = printable(what.sink);
            if (what.paused) {
                std::printf(
                    "sink %s is marked as paused: the relay sends nothing to it until "
                    "walrelay resume %s\n",
                    name.c_str(), name.c_str());
            } else {
                std::printf("sink %s is marked as resumed: the relay goes on\n", name.c_str());
            }
            co_return exit_code::ok;
        });
}

}  // namespace walrelay::cli
