// walrelay status: positions, lag, and what holds WAL back.
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "running_relay.hpp"
#include "status_page.hpp"
#include "status_queries.hpp"
#include "status_sentence.hpp"
#include "task.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/config/reader.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;
using json = nlohmann::ordered_json;

namespace {

lsn position(const json& body, const char* name) {
    const auto read = parse_lsn(body.value(name, ""));
    return read ? *read : lsn{};
}

admin::sink_figures sink_of(const json& body) {
    admin::sink_figures sink;
    sink.name = body.value("name", "?");
    sink.kind = body.value("kind", "?");
    sink.delivered = body.value("delivered", std::uint64_t{0});
    sink.in_flight = body.value("in_flight", std::uint64_t{0});
    sink.waiting = body.value("waiting", std::uint64_t{0});
    const json retried = body.value("retried", json::object());
    for (const auto& [what, number] : retried.items())
        sink.retried.emplace_back(what, number.get<std::uint64_t>());
    sink.notice = body.value("notice", "");
    for (const auto& one : body.value("stalls", json::array())) {
        sink.stalls.push_back({one.value("scope", ""), one.value("name", ""),
                               one.value("reason", ""), one.value("attempts", std::uint64_t{0}),
                               one.value("seconds", 0.0)});
    }
    return sink;
}

/// What status shows of GET /status. Whoever answers there is not trusted to be a relay: throws
/// json::exception for a value of another type.
admin::snapshot snapshot_of(const json& body) {
    admin::snapshot shown;
    shown.version = body.value("version", "?");
    shown.slot = body.value("slot", "");
    shown.state = body.value("state", "?");
    shown.ready = body.value("ready", false);
    for (const auto& reason : body.value("not_ready_because", json::array()))
        shown.not_ready_because.push_back(reason.get<std::string>());
    shown.halt = body.value("halt", "");
    shown.reload_fault = body.value("reload_fault", "");
    shown.received = position(body, "received");
    shown.safe = position(body, "safe");
    shown.recorded = position(body, "recorded");
    shown.acked = position(body, "acked");
    shown.server_wal_end = position(body, "server_wal_end");
    shown.lag_bytes = body.value("lag_bytes", std::uint64_t{0});
    shown.lag_seconds = body.value("lag_seconds", 0.0);
    shown.epoch = body.value("epoch", std::uint64_t{0});
    shown.in_flight_events = body.value("in_flight_events", std::uint64_t{0});
    shown.in_flight_bytes = body.value("in_flight_bytes", std::uint64_t{0});
    shown.limit_held_by = body.value("limit_held_by", "");
    for (const auto& sink : body.value("sinks", json::array()))
        shown.sinks.push_back(sink_of(sink));
    return shown;
}

/// The answer of the running relay of this slot: its JSON, and what of it we understand.
struct answer {
    json body;
    admin::snapshot shown;
};

std::optional<answer> ask(const config::model& model) {
    const auto text = ask_relay(model.admin);
    if (!text) return std::nullopt;
    json body = json::parse(*text, nullptr, false);
    if (!body.is_object()) return std::nullopt;
    try {
        auto shown = snapshot_of(body);
        if (shown.slot != model.source.slot) return std::nullopt;  // another relay's port
        return answer{std::move(body), std::move(shown)};
    } catch (const json::exception&) {
        return std::nullopt;
    }
}

json of_transaction(const std::optional<open_transaction>& open) {
    if (!open) return nullptr;
    const json seconds = open->seconds ? json(*open->seconds) : json(nullptr);
    if (!open->gid.empty())
        return {{"gid", open->gid}, {"database", open->database}, {"seconds", seconds}};
    return {{"pid", open->pid},
            {"application_name", open->application},
            {"database", open->database},
            {"seconds", seconds}};
}

json of_database(const database_facts& found) {
    if (found.fault) return {{"error", found.fault->what.text()}};
    json shown = json::object();
    shown["wal_end"] = to_string(found.wal_end);
    if (found.slot) {
        const auto& slot = *found.slot;
        shown["slot"] = {
            {"active_pid", slot.active_pid ? json(*slot.active_pid) : json(nullptr)},
            {"confirmed_flush", to_string(slot.confirmed_flush)},
            {"restart_lsn", to_string(slot.restart_lsn)},
            {"wal_status", slot.wal_status},
            {"invalidation_reason", slot.invalidation_reason},
            {"retained_bytes", slot.retained_bytes},
            {"unread_seconds", found.unread_seconds ? json(*found.unread_seconds) : json(nullptr)}};
        shown["undelivered_bytes"] = undelivered_bytes(found);
    }
    if (found.record) {
        shown["progress"] = {
            {"safe_lsn", to_string(found.record->safe)},
            {"epoch", found.record->epoch},
            {"age_seconds", found.record_age_seconds},
            {"halt", found.record->halt ? json(*found.record->halt) : json(nullptr)}};
    }
    shown["aside"] = json::array();
    for (const parked_count& one : found.aside) {
        shown["aside"].push_back({{"state", one.state},
                                  {"sink", one.sink.empty() ? json(nullptr) : json(one.sink)},
                                  {"rows", one.rows}});
    }
    shown["paused"] = found.paused;
    shown["oldest_transaction"] = of_transaction(found.oldest);
    return shown;
}

/// Nothing could be shown: why, for scripts.
exit_code code_of(const status_facts& found) {
    if (!found.database.fault || found.relay) return exit_code::ok;
    return found.database.fault->sqlstate.empty() ? exit_code::postgres_out_of_reach
                                                  : exit_code::configuration;
}

}  // namespace

exit_code status(const common_options& options, const status_options& what) {
    const config::reading read = config::read_file(options.config_file);
    for (const config::problem& problem : read.problems)
        std::fprintf(stderr, "%s\n", problem.line().c_str());
    if (!read.model) return exit_code::configuration;
    const auto relay = ask(*read.model);
    if (what.ready_only) return relay && relay->shown.ready ? exit_code::ok : exit_code::not_ready;

    status_facts found;
    found.file = options.config_file;
    found.slot = read.model->source.slot;
    found.listen = read.model->admin.listen;
    if (relay) found.relay = relay->shown;
    asio::io_context loop{1};
    run_task(loop, gather_status(loop.get_executor(), read.model->source, found.database));
    if (options.json) {
        const json shown = {{"wal", what_holds_wal(found)},
                            {"relay", relay ? relay->body : json(nullptr)},
                            {"database", of_database(found.database)}};
        std::printf("%s\n", shown.dump(2, ' ', false, json::error_handler_t::replace).c_str());
    } else {
        std::fputs(status_page(found).c_str(), stdout);
    }
    return code_of(found);
}

}  // namespace walrelay::cli
