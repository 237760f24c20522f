#include "walrelay/relay/intake.hpp"

#include <spdlog/spdlog.h>

#include "walrelay/core/escape.hpp"

namespace walrelay::relay {

namespace {

event::row_position position_of(const pgoutput::transaction& opened, std::uint32_t ordinal) {
    return {opened.commit_lsn, opened.commit_time.unix_microseconds(), opened.xid, ordinal};
}

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
        if (!resolved_before_) take(*row, received);
    } else if (const auto* began = std::get_if<pgoutput::transaction_began>(&*read)) {
        resolved_before_ = !decisions.begin(began->opened.commit_lsn,
                                            began->opened.commit_time.unix_microseconds());
    } else if (const auto* committed = std::get_if<pgoutput::transaction_committed>(&*read)) {
        decisions.commit(committed->end_lsn);
    } else if (const auto* alive = std::get_if<pgoutput::keepalive>(&*read)) {
        decisions.keepalive(alive->wal_end, alive->reply_requested,
                            std::chrono::steady_clock::now());
    } else if (const auto* changed = std::get_if<pgoutput::relation_changed>(&*read)) {
        tables_.erase((*changed->table)->id);
        last_table_ = nullptr;
    } else if (const auto* change = std::get_if<pgoutput::change_ignored>(&*read)) {
        ignore(*change);
    }
    paused_ = stopped() || !decisions.wants_rows();
    return !paused_;
}

void intake::take(const pgoutput::row_inserted& row, postgres::frame& received) {
    table_state& table = table_of(*row.table);
    ++*table.received;
    const std::size_t size = received.size();
    if (size > model_.limits.event_bytes) {
        return halt_on(table, row, received,
                       "the row has " + std::to_string(size) + " bytes, limits.event_bytes is " +
                           std::to_string(model_.limits.event_bytes));
    }
    if (!table.plan) return halt_on(table, row, received, table.broken);  // which names the table

    const event::routing routed = table.plan->decide(row.row, placements_);
    switch (routed.what) {
        case event::routing::verdict::discarded:
            ++counters_.discarded;
            return desk_.decisions().add_discarded();
        case event::routing::verdict::no_route:
            return halt_on(
                table, row, received,
                "no route takes the row; add a route for it, or take the table out with ALTER "
                "PUBLICATION … DROP TABLE " +
                    printable(table.relation->qualified_name()));
        case event::routing::verdict::routed:
            break;
    }
    const engine::event_slot slot = desk_.decisions().add(size, placements_);
    desk_.events().put(slot, {std::move(received), row.row, table.plan,
                              position_of(*reader_.open_transaction(), row.ordinal), routed.route});
}

/// An event error: nothing more is sent, the row is named, and nothing behind it is acknowledged.
void intake::halt_on(table_state& table, const pgoutput::row_inserted& row,
                     postgres::frame& received, std::string reason) {
    const engine::event_slot slot =
        desk_.decisions().add_unroutable(received.size(), std::move(reason));
    desk_.events().put(slot, {std::move(received), row.row, table.plan,
                              position_of(*reader_.open_transaction(), row.ordinal), 0});
}

intake::table_state& intake::table_of(const std::shared_ptr<const pgoutput::relation>& relation) {
    if (last_table_ != nullptr && last_table_->relation == relation) return *last_table_;
    table_state& table = tables_[relation->id];
    if (table.relation != relation) {
        table.relation = relation;
        table.received = &counters_.received[relation->qualified_name()];
        auto plan = routes_.plan(relation);
        if (plan) {
            table.plan = std::move(*plan);
        } else {
            table.plan.reset();
            table.broken = plan.error().text();
            spdlog::error("{}", table.broken);
        }
    }
    last_table_ = &table;
    return table;
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
