#include "walrelay/relay/stream_intake.hpp"

#include <utility>

#include <spdlog/spdlog.h>

#include "walrelay/core/escape.hpp"
#include "walrelay/relay/standby.hpp"

namespace walrelay::relay {

stream_intake::stream_intake(const config::model& model, const event::router& routes,
                             engine::engine& decisions, intake::event_store& events,
                             intake::intake_counters& counters, stream_events told)
    : rows_{model, routes, decisions, events, counters, {now, unix_microseconds}},
      told_{std::move(told)} {}

bool stream_intake::on_frame(postgres::frame&& received) {
    if (failed_) return false;
    const auto more = rows_.take(std::move(received));
    if (!rows_.notices().empty()) show_notices();
    if (more) return *more;
    fail(more.error());
    return false;
}

void stream_intake::undo_stop() {
    if (failed_) return;
    const auto done = rows_.undo_stop();
    show_notices();
    if (!done) fail(done.error());
}

void stream_intake::show_notices() {
    for (const std::string& notice : rows_.notices())
        spdlog::warn("{}", notice);
    rows_.notices().clear();
}

void stream_intake::fail(error why) {
    if (failed_) return;
    failed_ = true;
    postgres::sql_error end;
    end.what = std::move(why);
    end.connection_lost = true;
    told_.stream_ended(std::move(end));
}

void stream_intake::on_burst_end() {
    told_.burst_ended();
}

void stream_intake::on_end(postgres::sql_error end) {
    if (failed_) return;
    failed_ = true;
    told_.stream_ended(std::move(end));
}

void stream_intake::on_server_notice(std::string text) {
    // PostgreSQL 18 only warns when a publication is missing, and sends nothing of its tables: a
    // silent loss.
    if (text.find("skipped loading publication") != std::string::npos) {
        return fail({"read", "the replication stream",
                     "the server leaves out a publication: " + printable(text), ""});
    }
    spdlog::warn("server: {}", printable(text));
}

}  // namespace walrelay::relay
