#include "walrelay/intake/intake.hpp"

#include <utility>
#include <variant>

#include "walrelay/core/escape.hpp"
#include "walrelay/core/planted.hpp"
#include "walrelay/event/message_row.hpp"
#include "walrelay/intake/arrival.hpp"

namespace walrelay::intake {

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

intake::intake(const config::model& model, const event::router& routes, engine::engine& decisions,
               event_store& events, intake_counters& counters, clocks time)
    : model_{model},
      routes_{routes},
      plans_{routes},
      decisions_{decisions},
      store_{events},
      counters_{counters},
      time_{std::move(time)} {
    pauses_.newest.resize(model.sinks.size());
}

result<bool> intake::take(pgoutput::frame&& received) {
    if (stopped()) {
        kept_back_ = std::move(received);
        paused_ = true;
        return false;
    }
    auto read = reader_.read(received.bytes());
    if (!read) {
        return error{"read", "the replication stream",
                     "protocol error after LSN " + to_string(reader_.last_end()) + ": " +
                         read.error().text(),
                     ""};
    }
    if (const auto* row = std::get_if<pgoutput::row_inserted>(&*read)) {
        if (planted(bug::fiftieth_row_lost) && row->ordinal == 49) return true;
        if (!resolved_before_) on_row(*row, std::move(received));
    } else if (const auto* began = std::get_if<pgoutput::transaction_began>(&*read)) {
        begin_unit(began->opened.commit_lsn, began->opened.commit_time.unix_microseconds());
    } else if (const auto* committed = std::get_if<pgoutput::transaction_committed>(&*read)) {
        decisions_.commit(committed->end_lsn);
    } else if (const auto* alive = std::get_if<pgoutput::keepalive>(&*read)) {
        decisions_.keepalive(alive->wal_end, alive->reply_requested, time_.now());
    } else if (const auto* message = std::get_if<pgoutput::message_emitted>(&*read)) {
        on_message(*message);
    } else if (const auto* change = std::get_if<pgoutput::change_ignored>(&*read)) {
        ignore(*change);
    }
    paused_ = stopped() || !decisions_.wants_rows();
    return !paused_;
}

result<void> intake::undo_stop() {
    stopping_ = false;
    if (!kept_back_) return {};
    pgoutput::frame next = std::move(*kept_back_);
    kept_back_.reset();
    const auto taken = take(std::move(next));
    paused_ = true;  // the stream is, since that frame came
    if (!taken) return taken.error();
    return {};
}

void intake::begin_unit(lsn commit_lsn, std::int64_t commit_time_us) {
    resolved_before_ = !decisions_.begin(commit_lsn, commit_time_us);
    next_message_ = 0;
}

void intake::on_row(const pgoutput::row_inserted& row, pgoutput::frame&& received) {
    if (holds_marks(**row.table)) return on_mark(row, std::move(received));
    const planned_table& table = plans_.of(*row.table);
    if (counted_ != table.relation.get()) {
        counted_ = table.relation.get();
        received_ = &counters_.received[table.relation->qualified_name()];
    }
    ++*received_;
    const std::size_t bytes = received.size();
    stored_event arrived;
    arrived.frame = std::move(received);
    arrived.row = row.row;
    arrived.plan = table.plan;
    arrived.position = position_of(*reader_.open_transaction(), row.ordinal);
    arrived.bytes = static_cast<std::uint32_t>(bytes);
    if (!table.broken.empty()) {
        // All rows of the table, until somebody mends the routes: none is set aside.
        return refuse(std::move(arrived), bytes, unmapped_fault(table.broken),
                      config::error_policy::halt);
    }
    place(std::move(arrived), bytes);
}

/// One outside a transaction is a unit of its own. The server counts it as confirmed from its end
/// on, so it was resolved before exactly if that is safe.
void intake::on_message(const pgoutput::message_emitted& message) {
    const auto plan = routes_.message_plan(message.prefix);
    // All are counted: an id doesn't change with the routes.
    const std::uint32_t ordinal = message.transactional ? next_message_++ : 0;
    if (!plan) return;
    const lsn begin{message.position.value - (planted(bug::lone_message_read_again) ? 0 : 1)};
    if (!message.transactional) begin_unit(begin, time_.unix_microseconds());
    if (!resolved_before_) {
        event::row_position position = position_of(message, reader_, ordinal);
        if (planted(bug::message_placed_first)) position.rows_before = 0;
        ++counters_.received[plan->table()];
        event::message_row made{message.content, position};
        const std::size_t bytes = made.size();
        stored_event arrived;
        arrived.row = made.row();
        arrived.message = made.release();
        arrived.plan = plan;
        arrived.position = position;
        arrived.bytes = static_cast<std::uint32_t>(message.content.size());
        place(std::move(arrived), bytes);
    }
    if (!message.transactional) decisions_.commit(message.position);
}

/// What an operator wishes. Those for other relays of this database are theirs.
void intake::on_mark(const pgoutput::row_inserted& row, pgoutput::frame&& received) {
    const std::size_t bytes = received.size();
    auto wish = read_mark(**row.table, row.row);
    if (!wish) {
        stored_event arrived;
        arrived.frame = std::move(received);
        arrived.row = row.row;
        arrived.plan = event::router::plan_without_routes(*row.table);
        arrived.position = position_of(*reader_.open_transaction(), row.ordinal);
        return refuse(std::move(arrived), bytes, wish.error().text(), config::error_policy::halt);
    }
    if (wish->slot != model_.source.slot) return decisions_.add_discarded();
    if (wish->what == mark::action::redrive || wish->what == mark::action::drop) {
        stored_event arrived;
        arrived.position = position_of(*reader_.open_transaction(), row.ordinal);
        arrived.wish = std::make_unique<mark>(std::move(*wish));
        return store_.put(decisions_.add_mark(bytes), std::move(arrived));
    }
    decisions_.add_discarded();
    for (std::size_t index = 0; index < model_.sinks.size(); ++index) {
        if (model_.sinks[index].name != wish->sink || pauses_.newest[index] >= wish->id) continue;
        pauses_.newest[index] = wish->id;
        const bool pauses = wish->what == mark::action::pause && !planted(bug::pause_ignored);
        decisions_.set_paused(index, pauses);
        notices_.push_back("sink " + wish->sink +
                           (pauses ? " is paused by an operator" : " goes on, by an operator"));
    }
}

void intake::place(stored_event&& arrived, std::size_t bytes) {
    store_.prefetch(decisions_.prefetch_row());
    const event::routing routed = arrived.plan->decide(arrived.row, placements_);
    switch (routed.what) {
        case event::routing::verdict::discarded:
            ++counters_.discarded;
            return decisions_.add_discarded();
        case event::routing::verdict::no_route: {
            if (planted(bug::row_without_route_dropped)) return decisions_.add_discarded();
            const bool has_routes = arrived.plan->has_routes();
            std::string reason = no_route_fault(*arrived.plan, arrived.position.what);
            return refuse(std::move(arrived), bytes, std::move(reason),
                          has_routes ? model_.on_event_error : config::error_policy::halt);
        }
        case event::routing::verdict::routed:
            break;
    }
    arrived.route = routed.route;
    const auto slot = decisions_.add(bytes, arrived.position.place(), placements_);
    if (slot) store_.put(*slot, std::move(arrived));
}

void intake::refuse(stored_event&& arrived, std::size_t bytes, std::string reason,
                    config::error_policy policy) {
    const auto slot =
        decisions_.add_unroutable(bytes, arrived.position.place(), std::move(reason), policy);
    if (slot) store_.put(*slot, std::move(arrived));
}

void intake::ignore(const pgoutput::change_ignored& change) {
    ++counters_.ignored_changes;
    if (counters_.ignored_changes > 1 && counters_.ignored_changes % 10'000 != 0) return;
    const std::string table =
        change.table == nullptr ? "?" : printable((*change.table)->qualified_name());
    notices_.push_back(std::string{name_of(change.what)} + " of " + table + " is not delivered (" +
                       std::to_string(counters_.ignored_changes) +
                       " such changes so far): outbox tables are insert-only. ALTER PUBLICATION … "
                       "SET (publish = 'insert') keeps them out of the stream");
}

}  // namespace walrelay::intake
