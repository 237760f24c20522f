// Follows on a temporary slot and prints; delivers nothing.
#include <sys/prctl.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <optional>
#include <system_error>

#include <spdlog/spdlog.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "check_queries.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/config/reader.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/relay/follower.hpp"
#include "walrelay/sink/event_line.hpp"
#include "walrelay/sink/event_text.hpp"
#include "walrelay/sink/outlet.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;

namespace {

constexpr int standard_output = 1;
/// Text that waits for a slow reader; then no more is read from the server.
constexpr std::size_t limit_waiting_bytes = 1 << 20;
constexpr std::chrono::milliseconds look_for_reader{200};
constexpr std::chrono::seconds patience{1};

time_point now() {
    return std::chrono::steady_clock::now();
}

/// One life of the command.
class tail_session final : private relay::follow_listener {
public:
    tail_session(const config::model& model, bool json, std::uint64_t count)
        : model_{model},
          json_{json},
          count_{count},
          follower_{loop_, model, *this},
          out_{standard_output},
          written_{loop_.get_executor()},
          signals_{loop_, SIGINT, SIGTERM} {}

    exit_code run() {
        if (auto opened = follower_.open(); !opened) {
            say(opened.error().text());
            return exit_code::configuration;
        }
        start(follow());
        start(write());
        start(tell_what_is_awaited());
        start(watch_signals());
        loop_.run();
        if (failure_) std::rethrow_exception(failure_);
        return ended_as_;
    }

private:
    void start(asio::awaitable<void> task) {
        const auto keep_failure = [this](std::exception_ptr thrown) {
            if (!thrown) return;
            failure_ = thrown;
            loop_.stop();
        };
        asio::co_spawn(loop_, std::move(task), keep_failure);
    }

    static void say(const std::string& text) {
        std::fprintf(stderr, "walrelay tail: %s\n", text.c_str());
    }

    asio::awaitable<void> follow() {
        const error end = co_await follower_.run();
        if (enough()) co_return;
        say(end.text());
        ended_as_ = exit_code::configuration;
        stream_ended_ = true;
        written_.notify();  // what is left is written first
    }

    asio::awaitable<void> watch_signals() {
        auto signalled = co_await signals_.async_wait(asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(signalled)) co_return;
        out_.write_out();
        ended_as_ = exit_code::ok;
        co_await finish();
    }

    asio::awaitable<void> finish() {
        co_await follower_.leave();
        loop_.stop();
    }

    /// Writes what waits, as the reader takes it, and sees when the reader goes.
    asio::awaitable<void> write() {
        using progress = sink::outlet::progress;
        while (true) {
            const progress made = out_.write_out();
            const int cause = errno;
            if (made == progress::failed && cause != EPIPE) {
                say("write to stdout: " + std::generic_category().message(cause));
                ended_as_ = exit_code::configuration;
                co_return co_await finish();
            }
            if (made == progress::failed || out_.reader_is_gone() ||
                (made == progress::all && (enough() || stream_ended_))) {
                co_return co_await finish();
            }
            if (out_.waiting_bytes() < limit_waiting_bytes && !enough()) follower_.resume();
            const auto pause =
                made == progress::blocked ? sink::outlet::look_again : look_for_reader;
            co_await written_.wait(now() + pause);
        }
    }

    /// A new slot waits for the transactions that are writing when it is made.
    asio::awaitable<void> tell_what_is_awaited() {
        asio::steady_timer timer{loop_};
        std::string told;
        while (!ready_) {
            timer.expires_after(patience);
            auto waited = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
            if (std::get<0>(waited) || ready_) co_return;
            if (follower_.server_process() == 0) continue;
            std::string text = co_await name_writers();
            if (ready_ || text == told) continue;
            say(text);
            told = std::move(text);
        }
    }

    /// The ages and names of other roles' transactions are hidden from most roles, who blocks whom
    /// from none.
    asio::awaitable<std::string> name_writers() {
        std::string text = "the temporary slot waits until running transactions have ended";
        postgres::connect_options options;
        options.conninfo = model_.source.conninfo;
        options.application_name = "walrelay tail";
        const auto link =
            co_await postgres::connection::open(loop_.get_executor(), std::move(options));
        if (!link) co_return text;
        const auto writers = co_await read_writers(**link, 0);
        std::string names;
        if (writers) {
            for (const old_transaction& one : *writers)
                names.append(names.empty() ? ": " : ", ").append(printable(one.who));
        }
        if (names.empty()) {
            std::vector<std::optional<std::string>> process{
                std::to_string(follower_.server_process())};
            std::string sql = "select distinct unnest(pg_blocking_pids($1::int)) order by 1";
            const auto rows = co_await (*link)->query(std::move(sql), std::move(process));
            for (std::size_t row = 0; rows && row < rows->size(); ++row) {
                const std::string pid{rows->text(row, 0)};
                names.append(names.empty() ? ": " : ", ");
                names.append(pid == "0" ? "a prepared transaction" : "pid " + pid);
            }
        }
        co_return text + names;
    }

    void on_ready(lsn from) override {
        ready_ = true;
        say("following from LSN " + to_string(from) + "; nothing is delivered");
    }

    bool on_event(const relay::followed_event& event) override {
        if (enough()) return false;
        ++told_;
        std::string& out = out_.waiting();
        if (!json_) sink::append_heading(out, event.table, event.position, event.id);
        if (event.deliveries.empty()) append_unsent(event, std::nullopt, event.reason);
        for (const relay::followed_delivery& each : event.deliveries) {
            const std::string& name = model_.sinks[each.sink].name;
            if (!each.fault.empty()) {
                append_unsent(event, name, each.fault);
            } else if (json_) {
                sink::append_line(out, each.record, name, each.wire);
            } else {
                sink::append_delivery(out, each.record, name, each.wire);
            }
        }
        written_.notify();
        return !enough() && out_.waiting_bytes() < limit_waiting_bytes;
    }

    void append_unsent(const relay::followed_event& event, std::optional<std::string_view> sink,
                       std::string_view reason) {
        const sink::unsent_event unsent{event.id, event.table,     event.position,
                                        sink,     event.discarded, reason};
        std::string& out = out_.waiting();
        json_ ? sink::append_unsent_line(out, unsent) : sink::append_unsent(out, unsent);
    }

    void on_notice(std::string text) override { say("server: " + printable(text)); }

    [[nodiscard]] bool enough() const noexcept { return count_ > 0 && told_ >= count_; }

    const config::model& model_;
    const bool json_;
    const std::uint64_t count_;
    asio::io_context loop_{1};
    relay::follower follower_;
    sink::outlet out_;
    relay::wakeup written_;
    asio::signal_set signals_;
    std::uint64_t told_ = 0;
    bool ready_ = false;
    bool stream_ended_ = false;
    exit_code ended_as_ = exit_code::ok;
    std::exception_ptr failure_;
};

}  // namespace

exit_code tail(const common_options& options, const tail_options& what) {
    prctl(PR_SET_DUMPABLE, 0);  // a core dump would hold secrets and payloads
    const config::reading read = config::read_file(options.config_file);
    for (const config::problem& problem : read.problems)
        std::fprintf(stderr, "%s\n", problem.line().c_str());
    if (!read.model) return exit_code::configuration;
    spdlog::set_level(spdlog::level::off);  // what the relay would log stands with the event
    tail_session session{*read.model, options.json, what.count};
    return session.run();
}

}  // namespace walrelay::cli
