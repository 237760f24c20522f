#include "walrelay/relay/intake.hpp"

#include <spdlog/spdlog.h>

#include "walrelay/core/escape.hpp"
#include "walrelay/event/message_row.hpp"
#include "walrelay/relay/arrival.hpp"
#include "walrelay/relay/standby.hpp"

namespace walrelay::relay {

namespace {

const char* name_of(pgoutput::change_ignored::kind what) {
    switch (what) {
        case pgoutput::change_ignored::kind::update:
            return "UPDATE";
        case pgoutput::change_ignored::kind::remove:
            return "DELETE";
        case pgoutput::change_ignored::kind::truncate:
            break;
    }
    return "TRUNCATE";
}

}  // namespace

intake::intake(const config::model& model, const event::router& routes, dispatcher& desk,
               intake_counters& counters, intake_events events)
    : model_{model},
      routes_{routes},
      plans_{routes},
      desk_{desk},
      counters_{counters},
      events_{std::move(events)} {}

bool intake::on_frame(postgres::frame&& received) {
    if (failed_ || stopped()) return false;
    auto read = reader_.read(received.bytes());
    if (!read) {
        fail("protocol error after LSN " + to_string(reader_.last_end()) + ": " +
             read.error().text());
        return false;
    }
    engine::engine& decisions = desk_.decisions();
    if (const auto* row = std::get_if<pgoutput::row_inserted>(&*read)) {
        if (!resolved_before_) take(*row, std::move(received));
    } else if (const auto* began = std::get_if<pgoutput::transaction_began>(&*read)) {
        begin_unit(began->opened.commit_lsn, began->opened.commit_time.unix_microseconds());
    } else if (const auto* committed = std::get_if<pgoutput::transaction_committed>(&*read)) {
        decisions.commit(committed->end_lsn);
    } else if (const auto* alive = std::get_if<pgoutput::keepalive>(&*read)) {
        decisions.keepalive(alive->wal_end, alive->reply_requested,
                            std::chrono::steady_clock::now());
    } else if (const auto* message = std::get_if<pgoutput::message_emitted>(&*read)) {
        take(*message);
    } else if (const auto* change = std::get_if<pgoutput::change_ignored>(&*read)) {
        ignore(*change);
    }
    paused_ = stopped() || !decisions.wants_rows();
    return !paused_;
}

void intake::begin_unit(lsn commit_lsn, std::int64_t commit_time_us) {
    resolved_before_ = !desk_.decisions().begin(commit_lsn, commit_time_us);
    next_message_ = 0;
}

void intake::take(const pgoutput::row_inserted& row, postgres::frame&& received) {
    const planned_table& table = plans_.of(*row.table);
    if (counted_ != table.relation.get()) {
        counted_ = table.relation.get();
        received_ = &counters_.received[table.relation->qualified_name()];
    }
    ++*received_;
    const std::size_t bytes = received.size();
    stored_event arrived{std::move(received), nullptr, row.row, table.plan,
                         position_of(*reader_.open_transaction(), row.ordinal)};
    if (!table.broken.empty()) {
        return halt_on(std::move(arrived), bytes, unmapped_fault(table.broken));
    }
    place(std::move(arrived), bytes, bytes);
}

/// One outside a transaction is a unit of its own. The server counts it as confirmed from its end
/// on, so it was resolved before exactly if that is safe.
void intake::take(const pgoutput::message_emitted& message) {
    const auto plan = routes_.message_plan(message.prefix);
    // All are counted: an id doesn't change with the routes.
    const std::uint32_t ordinal = message.transactional ? next_message_++ : 0;
    if (!plan) return;
    if (!message.transactional) begin_unit(lsn{message.position.value - 1}, unix_microseconds());
    if (!resolved_before_) {
        const event::row_position position = position_of(message, reader_, ordinal);
        ++counters_.received[plan->table()];
        event::message_row made{message.content, position};
        const pgoutput::tuple_view row = made.row();
        const std::size_t bytes = made.size();
        place({{}, made.release(), row, plan, position}, bytes, message.content.size());
    }
    if (!message.transactional) desk_.decisions().commit(message.position);
}

void intake::place(stored_event&& arrived, std::size_t bytes, std::size_t content_bytes) {
    const event::routing routed = arrived.plan->decide(arrived.row, placements_);
    switch (routed.what) {
        case event::routing::verdict::discarded:
            ++counters_.discarded;
            return desk_.decisions().add_discarded();
        case event::routing::verdict::no_route: {
            std::string reason = no_route_fault(*arrived.plan, arrived.position.what);
            return halt_on(std::move(arrived), bytes, std::move(reason));
        }
        case event::routing::verdict::routed:
            break;
    }
    // Only now: a route can step over a row of any size.
    if (auto wrong = size_fault(content_bytes, model_.limits.event_bytes))
        return halt_on(std::move(arrived), bytes, std::move(*wrong));
    arrived.route = routed.route;
    const engine::event_slot slot = desk_.decisions().add(bytes, placements_);
    desk_.events().put(slot, std::move(arrived));
}

void intake::halt_on(stored_event&& arrived, std::size_t bytes, std::string reason) {
    const engine::event_slot slot = desk_.decisions().add_unroutable(bytes, std::move(reason));
    desk_.events().put(slot, std::move(arrived));
}

void intake::ignore(const pgoutput::change_ignored& change) {
    ++counters_.ignored_changes;
    if (counters_.ignored_changes > 1 && counters_.ignored_changes % 10'000 != 0) return;
    const std::string table =
        change.table == nullptr ? "?" : printable((*change.table)->qualified_name());
    spdlog::warn(
        "{} of {} is not delivered ({} such changes so far): outbox tables are insert-only. "
        "ALTER PUBLICATION … SET (publish = 'insert') keeps them out of the stream",
        name_of(change.what), table, counters_.ignored_changes);
}

void intake::fail(const std::string& what) {
    if (failed_) return;
    failed_ = true;
    postgres::sql_error end;
    end.what = {"read", "the replication stream", what, ""};
    end.connection_lost = true;
    events_.stream_ended(std::move(end));
}

void intake::on_burst_end() {
    events_.burst_ended();
}

void intake::on_end(postgres::sql_error end) {
    if (failed_) return;
    failed_ = true;
    events_.stream_ended(std::move(end));
}

void intake::on_server_notice(std::string text) {
    // PostgreSQL 18 only warns when a publication is missing, and sends nothing of its tables: a
    // silent loss.
    if (text.find("skipped loading publication") != std::string::npos) {
        return fail("the server leaves out a publication: " + printable(text));
    }
    spdlog::warn("server: {}", printable(text));
}

}  // namespace walrelay::relay
