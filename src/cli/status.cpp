#include <cstdio>
#include <optional>

#include <boost/asio/ip/tcp.hpp>
#include <nlohmann/json.hpp>

#include "task.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/config/reader.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/postgres/catalog.hpp"
#include "walrelay/postgres/progress.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;
using json = nlohmann::ordered_json;

namespace {

constexpr std::chrono::seconds admin_timeout{3};

/// GET /status of a relay that runs here. HTTP/1.0 ends the answer with the connection.
std::optional<json> ask_relay(const config::admin& admin) {
    if (admin.listen.empty()) return std::nullopt;
    const auto colon = admin.listen.rfind(':');
    std::string host = admin.listen.substr(0, colon);
    if (host == "0.0.0.0" || host == "::" || host == "[::]") host = "127.0.0.1";
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    asio::ip::tcp::iostream stream;
    stream.expires_after(admin_timeout);
    stream.connect(host, admin.listen.substr(colon + 1));
    if (!stream) return std::nullopt;
    stream << "GET /status HTTP/1.0\r\nHost: " << host << "\r\n";
    if (!admin.token.empty()) stream << "Authorization: Bearer " << admin.token << "\r\n";
    stream << "\r\n" << std::flush;
    std::string answer{std::istreambuf_iterator<char>{stream}, {}};
    const auto body = answer.find("\r\n\r\n");
    if (body == std::string::npos || answer.find(" 200 ") > answer.find("\r\n"))
        return std::nullopt;
    json parsed = json::parse(answer.substr(body + 4), nullptr, false);
    if (!parsed.is_object()) return std::nullopt;
    return parsed;
}

struct database_view {
    std::optional<postgres::slot_state> slot;
    std::optional<postgres::progress_row> record;
    std::string failure;  ///< why there is nothing; empty when there is
};

asio::awaitable<void> look(asio::io_context& loop, const config::source& source,
                           database_view& view) {
    postgres::connect_options options;
    options.conninfo = source.conninfo;
    options.application_name = "walrelay status";
    auto link = co_await postgres::connection::open(loop.get_executor(), std::move(options));
    if (!link) {
        view.failure = link.error().what.text();
        co_return;
    }
    auto slot = co_await postgres::read_slot(**link, source.slot);
    if (!slot) {
        view.failure = slot.error().what.text();
        co_return;
    }
    view.slot = std::move(*slot);
    auto record = co_await postgres::read_progress(**link, source.slot);
    if (record) view.record = std::move(*record);
}

json of_database(const database_view& view) {
    if (!view.failure.empty()) return {{"error", view.failure}};
    json shown = json::object();
    if (view.slot) {
        shown["slot"] = {
            {"active_pid", view.slot->active_pid ? json(*view.slot->active_pid) : json(nullptr)},
            {"confirmed_flush", to_string(view.slot->confirmed_flush)},
            {"restart_lsn", to_string(view.slot->restart_lsn)},
            {"wal_status", view.slot->wal_status},
            {"retained_bytes", view.slot->retained_bytes}};
    }
    if (view.record) {
        shown["progress"] = {
            {"safe_lsn", to_string(view.record->safe)},
            {"epoch", view.record->epoch},
            {"halt", view.record->halt ? json(*view.record->halt) : json(nullptr)}};
    }
    return shown;
}

void print_database(const database_view& view) {
    if (!view.failure.empty())
        return static_cast<void>(std::printf("database    %s\n", view.failure.c_str()));
    if (!view.slot) {
        std::printf("slot        does not exist\n");
    } else {
        const std::string holder = view.slot->active_pid
                                       ? "held by pid " + std::to_string(*view.slot->active_pid)
                                       : "not in use";
        std::printf("slot        %s, confirmed %s, keeps %llu bytes of WAL (%s)\n", holder.c_str(),
                    to_string(view.slot->confirmed_flush).c_str(),
                    static_cast<unsigned long long>(view.slot->retained_bytes),
                    view.slot->wal_status.c_str());
    }
    if (view.record) {
        std::printf("progress    delivered up to %s, epoch %llu\n",
                    to_string(view.record->safe).c_str(),
                    static_cast<unsigned long long>(view.record->epoch));
    }
}

void print_relay(const json& relay) {
    std::printf("relay       %s, %s\n", relay.value("state", "?").c_str(),
                relay.value("ready", false) ? "ready" : "not ready");
    for (const auto& reason : relay.value("not_ready_because", json::array())) {
        std::printf("            %s\n", reason.get<std::string>().c_str());
    }
    std::printf("lag         %llu bytes, %.3f s; %llu events in memory\n",
                relay.value("lag_bytes", 0ULL), relay.value("lag_seconds", 0.0),
                relay.value("in_flight_events", 0ULL));
    if (const std::string held = relay.value("limit_held_by", ""); !held.empty()) {
        std::printf("limit       %s\n", held.c_str());
    }
    for (const auto& sink : relay.value("sinks", json::array())) {
        std::printf("sink        %s (%s): %llu delivered, %llu on the wire, %llu waiting\n",
                    sink.value("name", "?").c_str(), sink.value("kind", "?").c_str(),
                    sink.value("delivered", 0ULL), sink.value("in_flight", 0ULL),
                    sink.value("waiting", 0ULL));
        for (const auto& stall : sink.value("stalls", json::array())) {
            std::printf("            stalled: %s %s: %s\n", stall.value("scope", "").c_str(),
                        stall.value("name", "").c_str(), stall.value("reason", "").c_str());
        }
    }
}

}  // namespace

exit_code status(const common_options& options, const status_options& what) {
    config::reading read = config::read_file(options.config_file);
    for (const config::problem& problem : read.problems)
        std::fprintf(stderr, "%s\n", problem.line().c_str());
    if (!read.model) return exit_code::configuration;
    const std::optional<json> relay = ask_relay(read.model->admin);
    const bool ready = relay && relay->value("ready", false);
    if (what.ready_only) return ready ? exit_code::ok : exit_code::not_ready;

    database_view view;
    asio::io_context loop{1};
    run_task(loop, look(loop, read.model->source, view));
    if (options.json) {
        const json shown = {{"relay", relay ? *relay : json(nullptr)},
                            {"database", of_database(view)}};
        std::printf("%s\n", shown.dump(2, ' ', false, json::error_handler_t::replace).c_str());
        return exit_code::ok;
    }
    if (relay) {
        print_relay(*relay);
    } else {
        std::printf("relay       none answers at admin.listen (%s)\n",
                    read.model->admin.listen.c_str());
    }
    print_database(view);
    return exit_code::ok;
}

}  // namespace walrelay::cli
