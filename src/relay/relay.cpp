#include "walrelay/relay/relay.hpp"

#include <csignal>
#include <random>

#include <spdlog/spdlog.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "walrelay/core/backoff.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

constexpr backoff between_connections{std::chrono::milliseconds{200}, std::chrono::seconds{5}};
constexpr duration seldom_wait = std::chrono::seconds{60};
constexpr duration slot_wait = std::chrono::milliseconds{500};
constexpr duration heartbeat = std::chrono::seconds{1};
constexpr duration stop_limit =
    std::chrono::seconds{11};  // ten to drain; a record, a status and a close take milliseconds
constexpr int exit_out_of_reach = 7;
constexpr int exit_invariant = 70;

std::uint64_t random_seed() {
    std::random_device source;
    return (static_cast<std::uint64_t>(source()) << 32) | source();
}

/// An exception that leaves a coroutine ends the process: it leaves loop_.run().
void rethrow(std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
}

}  // namespace

relay::relay(config::model model, configuration_file file)
    : model_{std::move(model)},
      file_{std::move(file)},
      loop_{1},
      desk_{loop_, model_, random_seed(), [this] { changed(); }},
      clerk_{model_, desk_},
      recorder_{loop_.get_executor(), model_.source, desk_.decisions(), clerk_,
                recorder_events{[this] { changed(); },
                                [this] {
                                    desk_.stop_sending();
                                    taken_over_ = true;
                                    wakeup_.notify();
                                },
                                [this] {
                                    server_stopping_ = true;
                                    wakeup_.notify();
                                },
                                [this](postgres::sql_error end) {
                                    if (!stream_end_) stream_end_ = std::move(end);
                                    wakeup_.notify();
                                }}},
      signals_{loop_, SIGTERM, SIGINT},
      hangups_{loop_, SIGHUP},
      timer_{loop_},
      wakeup_{loop_.get_executor()} {}

relay::~relay() = default;

result<void> relay::open_all() {
    auto routes = event::router::make(model_);
    if (!routes) return routes.error();
    routes_.emplace(std::move(*routes));
    auto sinks = desk_.make_sinks(model_);
    if (!sinks) return sinks.error();
    desk_.use_sinks(std::move(*sinks));
    if (model_.admin.listen.empty()) return {};
    auto listening = admin::server::open(loop_, model_.admin, [this] { return snapshot(); });
    if (!listening) return listening.error();
    admin_ = std::move(*listening);
    const auto colon = model_.admin.listen.rfind(':');
    spdlog::info("admin listening on {}:{}", model_.admin.listen.substr(0, colon), admin_->port());
    return {};
}

int relay::run() {
    std::signal(SIGPIPE, SIG_IGN);  // a closed log or stdout must not end the relay
    if (auto opened = open_all(); !opened) {
        spdlog::error("{}", opened.error().text());
        return 2;
    }
    asio::co_spawn(loop_, live(), rethrow);
    asio::co_spawn(loop_, watch_signals(), rethrow);
    asio::co_spawn(loop_, watch_reloads(), rethrow);
    asio::co_spawn(loop_, beat(), rethrow);
    try {
        loop_.run();
    } catch (const engine::invariant_violation& broken) {
        return show_broken_invariant(broken.what());
    }
    return exit_code_;
}

/// The loop never runs again, so nothing more is sent, recorded or acknowledged: what was not
/// delivered comes again after the restart. Only the reason is shown for a while, on a loop of its
/// own.
int relay::show_broken_invariant(const char* promise) {
    spdlog::critical("an invariant broke, so the relay stops without acknowledging: {}", promise);
    state_ = "stopped";
    trouble_ = std::string{"an invariant broke: "} + promise;
    stream_.reset();
    const admin::snapshot last = snapshot();
    asio::io_context showing{1};
    admin_.reset();
    std::unique_ptr<admin::server> shown;
    if (!model_.admin.listen.empty()) {
        auto listening = admin::server::open(showing, model_.admin, [&last] { return last; });
        if (listening) shown = std::move(*listening);
    }
    asio::signal_set early{showing, SIGTERM, SIGINT};
    early.async_wait([&showing](const boost::system::error_code&, int) { showing.stop(); });
    showing.run_for(model_.source.exit_delay);
    return exit_invariant;
}

asio::awaitable<void> relay::live() {
    while (!stopping_) {
        if (candidate_) co_await use_map();
        const ending last = co_await connect_and_stream();
        if (last.what == ending::next::stop) break;
        if (last.what == ending::next::reload) continue;
        if (last.what == ending::next::give_up) {
            exit_code_ = last.exit_code;
            out_of_reach_since_.reset();
            const time_point exit_at = std::chrono::steady_clock::now() + model_.source.exit_delay;
            while (last.exit_code != 2 && !stopping_ &&
                   std::chrono::steady_clock::now() < exit_at) {
                co_await wakeup_.wait(exit_at);
            }
            break;
        }
        co_await wait_before_retry(last);
    }
    stop(exit_code_);
}

asio::awaitable<void> relay::wait_before_retry(const ending& last) {
    if (stopping_) co_return;
    std::random_device source;
    duration wait = between_connections.wait(++failures_, source());
    if (last.what == ending::next::wait_for_slot) wait = slot_wait;
    if (last.seldom)
        wait = std::max<duration>(wait, std::min<duration>(seldom_wait, failures_ * heartbeat * 2));
    co_await wakeup_.wait(std::chrono::steady_clock::now() + wait);
}

asio::awaitable<void> relay::watch_signals() {
    auto first = co_await signals_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (std::get<0>(first)) co_return;
    stopping_ = true;
    stop_asked_at_ = std::chrono::steady_clock::now();
    state_ = "stopping";
    if (!stream_) {  // nothing was read that could be delivered, recorded or acknowledged
        spdlog::info("stopping");
        co_return stop(exit_code_);
    }
    spdlog::info(
        "stopping: what was read is delivered first, for at most 10 s; a second signal stops at "
        "once");
    wakeup_.notify();
    asio::steady_timer limit{loop_, stop_limit};
    limit.async_wait([this](const boost::system::error_code& cancelled) {
        if (cancelled) return;
        spdlog::warn(
            "stopped: the server or a sink didn't answer in time; what was not acknowledged comes "
            "again");
        loop_.stop();
    });
    auto second = co_await signals_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (std::get<0>(second)) co_return;
    spdlog::warn("stopped at once: what was not acknowledged comes again after the restart");
    loop_.stop();
}

/// A supervisor that restarts the relay may bring it back to where Postgres can be reached: a
/// container that shared the network of another has lost it for good when that one was restarted.
void relay::give_up_if_out_of_reach(time_point now) {
    const auto limit = model_.source.give_up_after;
    if (limit.count() == 0 || stopping_ || !out_of_reach_since_) return;
    if (now - *out_of_reach_since_ < limit) return;
    spdlog::error("Postgres was out of reach for {:.0f} s (source.give_up_after): exiting with 7",
                  std::chrono::duration<double>(limit).count());
    stop(exit_out_of_reach);
}

void relay::stop(int exit_code) {
    exit_code_ = exit_code;
    loop_.stop();
}

/// Once a second: how late the loop is, what stalls, and what only time shows.
asio::awaitable<void> relay::beat() {
    asio::steady_timer timer{loop_};
    time_point due = std::chrono::steady_clock::now();
    while (true) {
        due += heartbeat;
        timer.expires_at(due);
        auto waited = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(waited)) co_return;
        const time_point now = std::chrono::steady_clock::now();
        loop_latency_ = now - due;
        if (loop_latency_ > heartbeat) due = now;
        give_up_if_out_of_reach(now);
        recorder_.close_idle(now);
        if (desk_.replaces_sinks()) tick();
        stalls_.look(snapshot());
        spdlog::default_logger_raw()->flush();  // lines that a slow reader did not take at once
        note_halt();
    }
}

}  // namespace walrelay::relay
