// SIGHUP: the file is read again, and what has changed takes effect without a gap.
//
// Other options of sinks, their secrets and certificates are used as soon as order allows. Another
// map (routes, limits, policies) waits until everything that was read is delivered and recorded;
// the relay then begins anew, as after a restart, but in the same process. Whatever doesn't fit
// changes nothing.
#include <utility>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "walrelay/core/joined.hpp"
#include "walrelay/relay/relay.hpp"
#include "walrelay/relay/standby.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

constexpr duration window_limit = std::chrono::seconds{10};

}  // namespace

asio::awaitable<void> relay::watch_reloads() {
    while (true) {
        auto signal = co_await hangups_.async_wait(asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(signal)) co_return;
        reload();
    }
}

void relay::reload() {
    if (stopping_) return;
    if (candidate_) {
        hung_up_again_ = true;
        return;
    }
    spdlog::info("SIGHUP: the configuration is read again");
    auto fresh = file_.read();
    if (!fresh) return refuse_reload("the file has errors, which are in the log");
    config::changes changes = config::compare(model_, *fresh);
    if (!changes.need_restart.empty()) {
        return refuse_reload("what has changed needs a restart of walrelay: " +
                             joined(changes.need_restart, "; "));
    }
    auto routes = event::router::make(*fresh);
    if (!routes) return refuse_reload(routes.error().text());
    auto sinks = desk_.make_sinks(*fresh);
    if (!sinks) return refuse_reload(sinks.error().text());
    candidate_.emplace(
        candidate{std::move(*fresh), std::move(*routes), std::move(*sinks), std::move(changes)});
    wakeup_.notify();
}

void relay::reloaded(const char* what) {
    candidate_.reset();
    file_.use_log(model_.log);
    if (admin_) admin_->set_token(model_.admin.token);
    reload_fault_.clear();
    spdlog::info("reloaded: {}", what);
    look_for_another_signal();
}

void relay::refuse_reload(const std::string& why) {
    if (candidate_) desk_.discard(std::move(candidate_->sinks));
    candidate_.reset();
    reload_fault_ = why;
    spdlog::error("not reloaded, the old configuration stays in use: {}", why);
    look_for_another_signal();
}

/// The file may have changed since it was read.
void relay::look_for_another_signal() {
    if (std::exchange(hung_up_again_, false)) asio::post(loop_, [this] { reload(); });
}

/// The map stays what it was, word for word.
void relay::use_settings() {
    candidate_->model.routes = std::move(model_.routes);  // their lines are quoted by plans in use
    model_ = std::move(candidate_->model);
    desk_.replace_sinks(std::move(candidate_->sinks), now());
    reloaded("sinks get their options anew; routes and limits have not changed");
    tick();
}

/// Between two streams.
asio::awaitable<void> relay::use_map() {
    co_await judge_candidate();
    if (!candidate_ || !candidate_->approved) co_return;
    model_ = std::move(candidate_->model);
    routes_.emplace(std::move(candidate_->routes));
    desk_.begin_anew(std::move(candidate_->sinks));
    note_halt();       // there is none any more
    history_.reset();  // the record alone counts for the new engine
    reloaded("the new map is used from here on");
}

/// Does the server fit? Not where a table is published that has no route, or a route's table is not
/// published; nor if it can't be asked.
asio::awaitable<void> relay::judge_candidate() {
    if (candidate_->approved) co_return;
    std::string purpose = "check";
    auto link =
        co_await open_to_look(loop_.get_executor(), candidate_->model.source, std::move(purpose));
    if (!link) co_return refuse_reload(link.error().what.text());
    auto looked = co_await look_before_start(**link, candidate_->model, candidate_->routes);
    if (const auto* failure = std::get_if<postgres::sql_error>(&looked))
        co_return refuse_reload(failure->what.text());
    if (const auto* refusal = std::get_if<engine::start_refusal>(&looked))
        co_return refuse_reload(refusal->why.text());
    const auto& unpublished = std::get<server_facts>(looked).unpublished;
    if (unpublished && unpublished->text() != trouble_)
        co_return refuse_reload(unpublished->text());
    candidate_->approved = true;
}

/// True: the stream is to be left, and the new map begins; everything that was read is delivered
/// and recorded, unless a halt prevents it. False: the stream goes on.
asio::awaitable<bool> relay::take_candidate() {
    // What halted may be mended outside of the file, or by an option of a sink: only a new engine
    // has forgotten it, and reads the row again.
    if (desk_.decisions().halted()) candidate_->changes.map = true;
    if (candidate_->changes.map || candidate_->changes.conninfo) co_await judge_candidate();
    if (!candidate_ || must_leave()) co_return false;
    if (!candidate_->changes.map) {
        use_settings();
        co_return false;
    }
    state_ = "reloading";
    intake_->rows().stop_at_commit();
    recorder_.set_reading(false);
    const bool empty = co_await empty_window(now() + window_limit);
    if (must_leave()) co_return false;
    if (!empty) {
        go_on_with_old_map(what_fills_the_window());
        co_return false;
    }
    const bool recorded = co_await record_all();
    if (recorded || must_leave()) co_return recorded;
    desk_.start_sending(desk_.epoch());
    go_on_with_old_map("what was delivered could not be recorded");
    co_return false;
}

/// Attempts of a key that is held may take longer: it is in the store, and read again from there.
asio::awaitable<bool> relay::empty_window(time_point deadline) {
    while (!must_leave()) {
        tick();
        const bool resolved = all_is_resolved();
        if (resolved && desk_.decisions().in_flight() == 0) co_return true;
        if (now() >= deadline) co_return resolved;
        co_await wait_until(deadline);
    }
    co_return false;
}

void relay::go_on_with_old_map(const std::string& why) {
    refuse_reload(why);
    state_ = "streaming";
    recorder_.set_reading(true);
    intake_->undo_stop();
    tick();
}

/// The stream ends for another reason.
bool relay::must_leave() const {
    const engine::engine& decisions = desk_.decisions();
    return stream_end_ || taken_over_ || stopping_ || server_stopping_ ||
           (decisions.acknowledgements().server_wants_to_stop() && !decisions.idle());
}

bool relay::all_is_resolved() const {
    const engine::engine& decisions = desk_.decisions();
    if (!decisions.store().empty()) return false;
    if (decisions.halted()) return decisions.in_flight() == 0;
    return intake_->rows().stopped() && decisions.idle();
}

std::string relay::what_fills_the_window() const {
    std::string text = std::to_string(desk_.decisions().unresolved_events()) +
                       " events that were read could not be delivered within 10 s";
    if (!intake_->rows().stopped()) text += ", and a transaction was not read to its end";
    const admin::snapshot shown = snapshot();
    for (const std::string& reason : shown.not_ready_because)
        text += "; " + reason;
    return text + ". Mend that and send SIGHUP again, or restart walrelay: they come again then";
}

}  // namespace walrelay::relay
