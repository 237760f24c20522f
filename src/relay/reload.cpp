// SIGHUP: the file is read again, and what has changed takes effect without a gap.
//
// New options of sinks, their secrets and certificates are used as soon as nothing of the old sinks
// is on the wire. A new map (routes, limits, policies) waits until everything that was read is
// delivered and recorded; the relay then begins anew, as after a restart, but in the same process.
// Whatever doesn't fit changes nothing.
#include <utility>

#include <spdlog/spdlog.h>

#include "walrelay/config/changes.hpp"
#include "walrelay/relay/link_options.hpp"
#include "walrelay/relay/relay.hpp"
#include "walrelay/relay/standby.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

constexpr duration window_limit = std::chrono::seconds{10};

time_point now() {
    return std::chrono::steady_clock::now();
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts)
        text += (text.empty() ? "" : "; ") + part;
    return text;
}

}  // namespace

asio::awaitable<void> relay::watch_reloads() {
    while (true) {
        auto signal = co_await hangups_.async_wait(asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(signal)) co_return;
        if (!stopping_) reload();
    }
}

void relay::reload() {
    if (pending_ && stream_)
        return spdlog::warn("SIGHUP: a reload is under way; send it again when that has ended");
    spdlog::info("SIGHUP: the configuration is read again");
    auto fresh = file_.read();
    if (!fresh) return refuse_reload("the file has errors, which are in the log");
    const config::changes changes = config::compare(model_, *fresh);
    if (!changes.need_restart.empty()) {
        return refuse_reload("what has changed needs a restart of walrelay: " +
                             joined(changes.need_restart));
    }
    auto routes = event::router::make(*fresh);
    if (!routes) return refuse_reload(routes.error().text());
    auto sinks = desk_.make_sinks(*fresh);
    if (!sinks) return refuse_reload(sinks.error().text());
    pending_.emplace(new_map{std::move(*fresh), std::move(*routes), std::move(*sinks)});
    if (!changes.map && stream_) return use_new_settings();
    if (stream_) spdlog::info("reload: the new map is used once what was read is delivered");
    wakeup_.notify();
}

/// Old secrets and certificates are gone from here on; the map stays what it was, word for word.
void relay::use_new_settings() {
    new_map fresh = std::move(*pending_);
    pending_.reset();
    fresh.model.routes = std::move(model_.routes);  // their lines are quoted by plans in use
    model_ = std::move(fresh.model);
    desk_.replace_sinks(std::move(fresh.sinks), now());
    reloaded("the sinks were made anew; routes and limits have not changed");
    tick();
}

/// Between two streams.
void relay::use_new_map() {
    new_map fresh = std::move(*pending_);
    pending_.reset();
    model_ = std::move(fresh.model);
    routes_.emplace(std::move(fresh.routes));
    desk_.begin_anew(std::move(fresh.sinks));
    history_.reset();  // the record alone counts for the new engine
    reloaded("the new map is used from here on");
}

void relay::reloaded(const char* what) {
    file_.use_log(model_.log);
    if (admin_) admin_->set_token(model_.admin.token);
    reload_fault_.clear();
    spdlog::info("reloaded: {}", what);
}

void relay::refuse_reload(const std::string& why) {
    pending_.reset();
    reload_fault_ = why;
    spdlog::error("not reloaded, the old configuration stays in use: {}", why);
}

/// True: everything that was read is delivered and recorded, or a halt keeps it from being so; the
/// stream may end for the new map. False: it goes on, and if it can, with the old one.
asio::awaitable<bool> relay::make_way_for_new_map() {
    const auto misfit = co_await misfit_of_new_map();
    if (must_leave()) co_return false;
    if (misfit) {
        refuse_reload(*misfit);
        co_return false;
    }
    state_ = "reloading";
    intake_->rows().stop_at_commit();
    recorder_.set_reading(false);
    const time_point deadline = now() + window_limit;
    while (!window_is_empty()) {
        if (must_leave()) co_return false;
        if (now() >= deadline) {
            refuse_reload(std::to_string(desk_.decisions().unresolved_events()) +
                          " events that were read could not be delivered within 10 s. Try again, "
                          "or restart walrelay: they come again then");
            state_ = "streaming";
            recorder_.set_reading(true);
            intake_->go_on();
            tick();
            co_return false;
        }
        tick();
        co_await wait_until(deadline);
    }
    co_await record_all();
    co_return true;
}

/// What of the server doesn't fit the new map: a table that is published and has no route, or a
/// route whose table is not published. An answer that can't be had is a misfit too.
asio::awaitable<std::optional<std::string>> relay::misfit_of_new_map() {
    postgres::connect_options options = link_options(model_.source, "check");
    options.timeout = probe_timeout;
    auto link = co_await postgres::connection::open(loop_.get_executor(), std::move(options));
    if (!link) co_return link.error().what.text();
    auto looked = co_await look_before_start(**link, pending_->model, pending_->routes);
    if (const auto* failure = std::get_if<postgres::sql_error>(&looked))
        co_return failure->what.text();
    if (const auto* refusal = std::get_if<engine::start_refusal>(&looked))
        co_return refusal->why.text();
    const auto& unpublished = std::get<server_facts>(looked).unpublished;
    if (unpublished && unpublished->text() != trouble_) co_return unpublished->text();
    co_return std::nullopt;
}

/// The stream ends for another reason, and what follows it uses the new map.
bool relay::must_leave() const {
    return stream_end_ || taken_over_ || stopping_ || server_stopping_;
}

bool relay::window_is_empty() const {
    const engine::engine& decisions = desk_.decisions();
    if (decisions.in_flight() > 0 || !decisions.store().empty()) return false;
    return decisions.halted() || (intake_->rows().stopped() && decisions.idle());
}

}  // namespace walrelay::relay
