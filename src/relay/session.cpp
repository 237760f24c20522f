// One connection of the relay: from the first look at the server to the last status.
#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "walrelay/core/escape.hpp"
#include "walrelay/intake/arrival.hpp"
#include "walrelay/relay/link_options.hpp"
#include "walrelay/relay/relay.hpp"
#include "walrelay/relay/standby.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

constexpr duration fruitful_life = std::chrono::seconds{30};
constexpr std::uint32_t barren_streams_max = 3;
constexpr duration drain_limit = std::chrono::seconds{10};
/// Between two looks whether the server has ended the stream: each is a system call, and no relay
/// takes the slot and sends in less.
constexpr duration between_looks = std::chrono::milliseconds{1};
constexpr duration server_shutdown_grace = std::chrono::seconds{5};
constexpr duration last_record_limit = std::chrono::seconds{2};
/// What is due already, and was not done, waits for something else (a sink that is full, a record
/// under way): asking again at once would only spin.
constexpr duration shortest_timer = std::chrono::milliseconds{5};

pgoutput::standby_status to_status(const engine::status_message& told) {
    return {told.written, told.flushed, told.flushed, pg_now(), false};
}

bool same_timeline(const postgres::server_identity& a, const postgres::server_identity& b) {
    return a.system_identifier == b.system_identifier && a.timeline == b.timeline;
}

}  // namespace

asio::awaitable<relay::ending> relay::connect_and_stream() {
    state_ = "connecting";
    postgres::connect_options options = link_options(model_.source, model_.source.slot);
    auto link = co_await postgres::connection::open(loop_.get_executor(), std::move(options));
    if (!link) co_return ending_of(link.error());
    auto looked = co_await look_before_start(**link, model_, *routes_);
    if (const auto* failure = std::get_if<postgres::sql_error>(&looked))
        co_return ending_of(*failure);
    out_of_reach_since_.reset();
    if (const auto* refusal = std::get_if<engine::start_refusal>(&looked))
        co_return refused(*refusal);
    server_facts facts = std::move(std::get<server_facts>(looked));
    slot_retained_bytes_ = facts.slot.retained_bytes;
    const ending acquired = co_await acquire(std::move(*link), std::move(facts));
    if (acquired.what != ending::next::stop || !stream_) co_return acquired;
    ending streamed = co_await stream_until_end();
    if (streamed.what == ending::next::reload) co_return streamed;
    co_await await_orphans();
    const bool fruitful =
        desk_.decisions().units().safe() > safe_at_start_ || now() - stream_start_ > fruitful_life;
    failures_ = fruitful ? 0 : failures_;
    barren_streams_ = fruitful ? 0 : barren_streams_ + 1;
    // The same bytes fail again and again: the server can't decode them, or we can't. It sends the
    // open transaction anew each time.
    if (barren_streams_ >= barren_streams_max) streamed.seldom = true;
    co_return streamed;
}

/// Takes the slot, draws the epoch, and lets the stream flow. `stop` with a stream: it flows.
asio::awaitable<relay::ending> relay::acquire(std::unique_ptr<postgres::connection> link,
                                              server_facts facts) {
    postgres::connect_options options = link_options(model_.source, model_.source.slot);
    options.replication = true;
    auto replication =
        co_await postgres::connection::open(loop_.get_executor(), std::move(options));
    if (!replication) co_return ending_of(replication.error());
    auto identity = co_await postgres::read_identity(**replication);
    if (!identity) co_return ending_of(identity.error());
    if (!(*identity == facts.identity)) {
        spdlog::warn("the two connections lead to different servers; trying again");
        co_return ending{ending::next::retry};
    }

    stream_events events{[this] { changed(); },
                         [this](postgres::sql_error end) {
                             desk_.stop_sending();
                             stream_end_ = std::move(end);
                             wakeup_.notify();
                         }};
    intake_ = std::make_unique<stream_intake>(model_, *routes_, desk_.decisions(), desk_.events(),
                                              received_, std::move(events));
    stream_end_.reset();
    server_stopping_ = taken_over_ = false;
    postgres::stream_request request;
    request.slot = model_.source.slot;
    request.publications = model_.source.publications;
    request.messages = routes_->wants_messages();
    auto started = co_await postgres::replication_stream::start(std::move(*replication),
                                                                std::move(request), *intake_);
    if (!started) {
        if (engine::classify(started.error().sqlstate, "") != engine::connection_fault::slot_busy) {
            co_return ending_of(started.error());
        }
        state_ = "waiting for the slot";
        trouble_ = started.error().what.text();
        if (!slot_wait_logged_) spdlog::info("{}; waiting until it is free", trouble_);
        slot_wait_logged_ = true;
        co_return ending{ending::next::wait_for_slot};
    }
    slot_wait_logged_ = false;

    // The slot is ours: only now is the record ours too.
    auto epoch = co_await postgres::draw_epoch(*link, model_.source.slot, facts.identity,
                                               facts.slot.confirmed_flush);
    if (!epoch) co_return ending_of(epoch.error());
    auto record = co_await postgres::read_progress(*link, model_.source.slot);
    if (!record) co_return ending_of(record.error());
    if (!*record) co_return ending{ending::next::retry};

    // A record below what we acknowledged was made anew by somebody: it alone counts.
    const bool same_history = history_ && same_timeline(*history_, facts.identity) &&
                              (*record)->safe >= desk_.decisions().acknowledgements().acked();
    // Read after the epoch was drawn: whoever had the slot before writes nothing any more.
    postgres::aside_scope scope{model_.source.slot, facts.identity.system_identifier, *epoch};
    postgres::aside_scope asked = scope;
    auto aside = co_await postgres::read_aside(*link, std::move(asked), (*record)->safe);
    if (!aside) co_return ending_of(aside.error());
    auto pauses = co_await postgres::read_pauses(*link, model_.source.slot);
    if (!pauses) co_return ending_of(pauses.error());

    clerk_.begin(std::move(scope), *routes_);
    set_pauses(*pauses);
    desk_.decisions().stream_started((*record)->safe, same_history, clerk_.start_of(*aside),
                                     status_period(facts.settings.wal_sender_timeout_ms), now());
    history_ = facts.identity;
    recorder_.begin(std::move(link), std::move(facts.identity), *epoch);
    stream_ = std::move(*started);
    if (has_streamed_) ++reconnects_;
    has_streamed_ = true;
    stream_start_ = now();
    safe_at_start_ = (*record)->safe;
    const std::string unpublished = facts.unpublished ? facts.unpublished->text() : "";
    if (trouble_ != unpublished && facts.unpublished) spdlog::error("{}", unpublished);
    trouble_ = unpublished;
    state_ = "streaming";
    spdlog::info("streaming from slot {} at {} on PostgreSQL {} (epoch {})", model_.source.slot,
                 to_string((*record)->safe), facts.settings.version_text, *epoch);
    desk_.start_sending(*epoch);
    last_probe_ = last_catalog_check_ = now();
    stream_->resume();
    tick();
    co_return ending{ending::next::stop};
}

asio::awaitable<relay::ending> relay::stream_until_end() {
    while (true) {
        co_await wakeup_.wait(now() + std::chrono::seconds{1});
        if (stream_end_) {
            const postgres::sql_error end = *stream_end_;
            co_await leave_stream(false);
            const ending seen = ending_of(end);
            out_of_reach_since_.reset();  // whether it is, the next attempt will show
            co_return seen;
        }
        if (taken_over_) {
            spdlog::warn("another relay has taken over slot {}: waiting until it is free",
                         model_.source.slot);
            co_await leave_stream(false);
            co_return ending{ending::next::wait_for_slot};
        }
        if (stopping_) {
            co_await drain(stop_asked_at_ + drain_limit);
            co_await leave_stream(true);
            co_return ending{ending::next::stop};
        }
        const engine::engine& decisions = desk_.decisions();
        if (server_stopping_ ||
            (decisions.acknowledgements().server_wants_to_stop() && !decisions.idle())) {
            co_await let_server_stop();
            co_return ending{ending::next::retry};
        }
        if (candidate_) {
            const bool begins_anew = co_await take_candidate();
            if (!begins_anew) continue;
            co_await leave_stream(true);
            co_return ending{ending::next::reload};
        }
        co_await probe_server();
        co_await look_for_pauses();
        co_await check_catalog();
    }
}

/// What was read is delivered, the transaction that is being read to its end, then all is recorded.
asio::awaitable<void> relay::drain(time_point deadline) {
    intake_->rows().stop_at_commit();
    recorder_.set_reading(false);
    const engine::engine& decisions = desk_.decisions();
    while (now() < deadline && !stream_end_ && !taken_over_) {
        tick();
        const bool reading_ends = intake_->rows().stopped() || intake_->rows().paused();
        if (reading_ends && decisions.in_flight() == 0 && decisions.store().empty())
            break;  // the rest waits for a sink that doesn't take it
        co_await wait_until(deadline);
    }
    const bool recorded = co_await record_all();
    if (!recorded) spdlog::warn("the last of what was delivered could not be recorded");
    if (!decisions.idle()) {
        spdlog::info("{} events are not delivered; they come again after the restart",
                     decisions.unresolved_events());
    }
}

/// Nothing is sent any more, and what is safe is recorded; false: that took too long.
asio::awaitable<bool> relay::record_all() {
    const engine::engine& decisions = desk_.decisions();
    desk_.stop_sending();
    const time_point last = now() + last_record_limit;
    while (now() < last) {
        recorder_.tick(now(), true);
        if (!recorder_.busy() && decisions.progress().recorded() >= decisions.units().safe())
            co_return true;
        co_await wait_until(last);
    }
    co_return false;
}

/// A server that stops waits until all of its WAL is confirmed. What can't be delivered now is
/// never confirmed: the server is told that nothing is flushed, and goes; the rows come again after
/// its restart.
asio::awaitable<void> relay::let_server_stop() {
    state_ = trouble_ = "the server is stopping";
    spdlog::info(
        "the server is stopping: letting it go; what is not delivered comes again after its "
        "restart");
    desk_.stop_sending();
    const time_point deadline = now() + server_shutdown_grace;
    while (desk_.decisions().in_flight() > 0 && now() < deadline && !stream_end_) {
        co_await wait_until(deadline);
    }
    const bool paused = intake_->rows().paused();
    if (const auto status = desk_.decisions().status_due(now(), true))
        stream_->send_status(to_status(*status));
    if (!paused && !stream_end_) {
        const lsn end = desk_.decisions().acknowledgements().wal_end();
        stream_->send_status(to_status({end, {}}));
        const time_point last = now() + std::chrono::seconds{1};
        while (!stream_end_ && now() < last)
            co_await wakeup_.wait(last);
    }
    co_await leave_stream(false);
}

/// Until something was notified, `deadline`, or the time to look again.
asio::awaitable<void> relay::wait_until(time_point deadline) {
    const time_point look_again = now() + std::chrono::milliseconds{20};
    co_await wakeup_.wait(deadline < look_again ? deadline : look_again);
}

asio::awaitable<void> relay::leave_stream(bool tell_last_status) {
    if (tell_last_status) {
        if (const auto status = desk_.decisions().status_due(now(), true))
            stream_->send_status(to_status(*status));
    }
    desk_.stop_sending();
    const auto closing = std::move(stream_);
    co_await closing->close();
    co_await recorder_.end();
    note_halt();  // while its event is known
    desk_.stream_lost();
    note_halt();
}

/// The server sends all that is not acknowledged again: what is still on the wire ends before that.
asio::awaitable<void> relay::await_orphans() {
    while (desk_.decisions().in_flight() > 0 && !stopping_) {
        co_await wakeup_.wait(now() + std::chrono::milliseconds{20});
    }
}

relay::ending relay::ending_of(const postgres::sql_error& failure) {
    const std::string text = failure.what.text();
    if (!failure.sqlstate.empty()) {
        out_of_reach_since_.reset();  // refused, but by Postgres
    } else if (!out_of_reach_since_) {
        out_of_reach_since_ = now();
    }
    const auto fault = engine::classify(failure.sqlstate, text);
    const bool configuration = fault == engine::connection_fault::configuration;
    state_ = "not connected";
    if (configuration && !has_streamed_) {
        spdlog::error("{}", text);
        trouble_ = text;
        return {ending::next::give_up, 2};
    }
    if (text != trouble_) spdlog::warn("{}; trying again", text);
    trouble_ = text;
    return {ending::next::retry, 0, configuration};
}

relay::ending relay::refused(const engine::start_refusal& refusal) {
    const std::string text = refusal.why.text();
    const bool repeated = text == trouble_;
    trouble_ = text;
    if (refusal.exit_code == 2 && has_streamed_) {
        state_ = "not connected";
        if (!repeated) spdlog::error("{}; trying again", text);
        return {ending::next::retry, 0, true};
    }
    state_ = "stopped";
    spdlog::error("{}", text);
    return {ending::next::give_up, refusal.exit_code};
}

void relay::tick() {
    if (!stream_ || ticking_) return;
    ticking_ = true;
    const time_point at = now();
    engine::engine& decisions = desk_.decisions();
    const bool look = desk_.sending() && at - last_look_ >= between_looks;
    if (look) last_look_ = at;
    if (look && stream_->peer_is_gone()) {
        // The slot may be another relay's by now: this process was frozen, or reads nothing while a
        // limit is full. Then only a message tells the stream that it is over.
        desk_.stop_sending();
        if (const auto last = decisions.status_due(at, true))
            stream_->send_status(to_status(*last));
    }
    desk_.pump(at);
    recorder_.tick(at);
    if (const auto status = decisions.status_due(at)) stream_->send_status(to_status(*status));
    if (intake_->rows().paused() && !intake_->rows().stopped() && decisions.wants_rows()) {
        intake_->rows().resumed();
        stream_->resume();
    }
    if (decisions.halted()) note_halt();
    arm_timer();
    ticking_ = false;
}

/// Something ended or arrived: the coroutine of the session may have waited for it. Not part of
/// tick(), which that coroutine calls itself.
void relay::changed() {
    tick();
    const engine::engine& decisions = desk_.decisions();
    const bool server_waits =
        decisions.acknowledgements().server_wants_to_stop() && !decisions.idle();
    if (stopping_ || server_waits) wakeup_.notify();
}

/// Fires when time alone changes a decision. One that is armed too early only looks once more.
void relay::arm_timer() {
    const time_point wake = desk_.decisions().wake_at(desk_.sending());
    if (wake >= timer_at_) return;
    timer_at_ = std::max(wake, now() + shortest_timer);
    timer_.expires_at(timer_at_);
    timer_.async_wait([this](const boost::system::error_code& cancelled) {
        if (cancelled) return;
        timer_at_ = never;
        tick();
    });
}

void relay::note_halt() {
    const auto& halted = desk_.decisions().halted();
    if (!halted) {
        if (!std::exchange(halt_text_, {}).empty()) recorder_.set_halt({});
        return;
    }
    const bool by_sink = halted->sink.has_value();
    if (!halt_text_.empty() && halted_by_sink_ == by_sink)
        return recorder_.tick(now());  // it may not be written down yet
    halted_by_sink_ = by_sink;
    const event_name name = desk_.name_of(halted->event, halted->sink.value_or(SIZE_MAX));
    halt_text_ = "halted on " + name.text() + ": " + printable(halted->reason, 900);
    halt_text_ += by_sink ? std::string{". Nothing more is sent. "} + intake::step_over_mend
                          : ". Nothing behind it is read";
    spdlog::error("{}", halt_text_);
    recorder_.set_halt(halt_text_);
    recorder_.tick(now());
}

}  // namespace walrelay::relay
