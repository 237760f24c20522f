// A fast stop of the server, and how the relay around the engine lets it go.
#include <utility>

#include "simulation/world.hpp"
#include "walrelay/core/planted.hpp"

namespace walrelay::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// As the relay has them.
constexpr auto probe_period = seconds{3};
constexpr auto grace = seconds{5};
constexpr auto last_wait = seconds{1};
/// With a second for what lies between.
constexpr auto stop_limit = probe_period + grace + last_wait + seconds{1};

}  // namespace

/// pg_ctl stop -m fast: SQL connections end and none is let in, so nothing more is committed. The
/// walsender goes on until all that it has sent is confirmed, or the relay has left. Then the
/// server comes back.
void world::stop_server() {
    tell("the server is asked to stop");
    stopping_.emplace();
    stopping_->begun = stopping_->relay_reads_at = now_;
    if (chance(0.7)) wal_end_.value += draw(1, 200);  // the shutdown checkpoint
    end_sql();
    while (connected_) {
        if (now_ > stopping_->relay_reads_at + stop_limit)
            fail("I14: the server waits for the relay for ever");
        now_ += milliseconds{draw(1, 60)};
        stop_on_both_sides();
        if (connected_) check_step();
    }
    tell("the server stops, and comes back");
    stopping_.reset();
    durable_confirmed_ = confirmed_;
}

/// What was under way may have been committed just before, but is not answered.
void world::end_sql() {
    if (writing_) {
        if (chance(0.5)) land_record();
        writing_->answered = writing_->lands = false;
    }
    if (calling_) {
        if (chance(0.5)) land_store_call();
        calling_->answered = calling_->lands = false;
    }
}

void world::stop_on_both_sides() {
    if (fault(break_rate_ / 4)) return relay_crash();
    if (relay_->wants_rows() && !all_sent()) stopping_->relay_reads_at = now_;
    walsender_asks();
    receive();
    if (!connected_) return;
    const bool idle = relay_->idle();
    send_status();
    if (!connected_ && idle) reached_.note(rare::server_stopped_idle);
    if (!connected_) return;
    switch (draw(0, 3)) {
        case 0:
            if (!chance(slow_rate_)) end_attempt();
            break;
        case 1:
            writing_ ? end_record() : write_record();
            break;
        case 2:
            calling_ ? end_store_call() : ask_store();
            break;
        default:
            break;
    }
    pump();
    const bool probed = !relay_->wants_rows() && now_ > stopping_->begun + probe_period;
    const bool asked = relay_->acknowledgements().server_wants_to_stop() && !relay_->idle();
    if (probed || asked || stopping_->relay_knows) let_server_stop();
}

/// As the relay's session does it: nothing more is sent to sinks, what is in flight is awaited, the
/// last true status is told; then, if all was read, that nothing is to be waited for.
void world::let_server_stop() {
    tell("the relay lets the server stop");
    stopping_->relay_sends = false;
    for (const time_point end = now_ + grace; any_on_wire() && now_ < end; check_step()) {
        now_ += milliseconds{draw(1, 500)};
        walsender_asks();
        receive();
        if (!connected_) return;
        if (chance(0.5)) end_attempt();
        send_status();
        if (!connected_) return;
    }
    const bool all_read = relay_->wants_rows();
    const bool undelivered = relay_->unresolved_events() > 0;
    send_status(true);
    if (connected_ && all_read) {
        const lsn end = relay_->acknowledgements().wal_end();
        tell_status({end, planted(bug::server_stop_acknowledges_all) ? end : lsn{}});
        if (!connected_ && undelivered) reached_.note(rare::server_stopped_undelivered);
    }
    if (!connected_) return;
    if (!all_read) reached_.note(rare::server_stopped_unread);
    now_ += last_wait;
    disconnect();
}

bool world::all_sent() const {
    return next_transaction_ == source_.size() && !next_row_;
}

/// It asks again as soon as it was answered.
void world::walsender_asks() {
    if (!all_sent() || std::exchange(stopping_->awaits_reply, true)) return;
    wire_.keepalive(wal_end_, true);
}

/// As ProcessStandbyReplyMessage() and WalSndDone() have it: a relay that says that nothing is
/// flushed counts by what it has read.
void world::server_hears(const engine::status_message& told) {
    stopping_->awaits_reply = false;
    const lsn confirmed = told.flushed.value == 0 ? told.written : told.flushed;
    if (!all_sent() || confirmed != wal_end_) return;
    tell("all is confirmed");
    disconnect();
}

}  // namespace walrelay::simulation
