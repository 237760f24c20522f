#include "walrelay/relay/aside_clerk.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include <spdlog/spdlog.h>

#include "walrelay/core/escape.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

constexpr std::size_t longest_error_bytes = 900;
constexpr std::uint64_t rerouted_bytes_at_once = 16ULL << 20;

/// What people see of an event, as one sink would get it, or as no route took it.
void describe(const intake::stored_event& event, std::optional<std::size_t> sink,
              postgres::aside_insert& out) {
    out.position = event.position;
    out.messages = intake::messages_of(event);
    out.table = event.plan->table();
    out.event_id = event.plan->id_of(event.row, event.position);
    event::outline seen = sink ? event.plan->outline_for(event.row, event.route, *sink)
                               : event.plan->outline_of(event.row);
    out.destination = std::move(seen.destination);
    out.key = std::move(seen.key);
    out.type = std::move(seen.type);
}

}  // namespace

aside_clerk::aside_clerk(const config::model& model, dispatcher& desk)
    : model_{model}, desk_{desk}, counters_(model.sinks.size() + 1) {}

void aside_clerk::begin(postgres::aside_scope scope, const event::router& routes) {
    scope_ = std::move(scope);
    reader_.emplace(routes);
}

std::optional<std::uint16_t> aside_clerk::sink_index(const std::string& name) const {
    const auto found = std::find_if(model_.sinks.begin(), model_.sinks.end(),
                                    [&](const config::sink& one) { return one.name == name; });
    if (found == model_.sinks.end()) return std::nullopt;
    return static_cast<std::uint16_t>(found - model_.sinks.begin());
}

engine::aside_start aside_clerk::start_of(const postgres::aside_summary& known) const {
    engine::aside_start start;
    std::set<std::string> unknown;
    for (const auto& lane : known.lanes) {
        const auto sink = sink_index(lane.sink);
        if (!sink) {
            unknown.insert(lane.sink);
            continue;
        }
        start.lanes.push_back({*sink, engine::lane_of_row(lane.lane, lane.id, !lane.redriven),
                               lane.waits_for_operator});
    }
    for (const auto& entry : known.entries) {
        const auto sink = sink_index(entry.sink);
        if (!sink && !entry.sink.empty()) continue;
        start.entries.push_back({entry.place, sink, entry.state, entry.holds_key});
    }
    for (const std::string& name : unknown) {
        spdlog::warn(
            "walrelay.parked has rows that wait for sink {}, which the sink map doesn't have: they "
            "stay there until it has one of that name, or until they are dropped",
            printable(name));
    }
    return start;
}

asio::awaitable<aside_clerk::done> aside_clerk::carry_out(postgres::connection& link,
                                                          engine::aside_request request) {
    if (auto* rows = std::get_if<engine::put_request>(&request)) {
        engine::put_request asked = std::move(*rows);
        co_return co_await put(link, std::move(asked));
    }
    if (auto* rows = std::get_if<engine::change_request>(&request)) {
        engine::change_request asked = std::move(*rows);
        co_return co_await change(link, std::move(asked));
    }
    if (auto* lanes = std::get_if<engine::load_request>(&request)) {
        engine::load_request asked = std::move(*lanes);
        co_return co_await load(link, std::move(asked));
    }
    const engine::mark_request asked = std::get<engine::mark_request>(request);
    co_return co_await mark(link, asked);
}

postgres::aside_insert aside_clerk::row_of(const engine::aside_put& asked) const {
    const bool has_sink = asked.delivery != engine::no_delivery;
    postgres::aside_insert row;
    std::optional<std::size_t> sink;
    if (has_sink) sink = asked.sink;
    describe(desk_.events().at(asked.event), sink, row);
    if (has_sink) row.sink = model_.sinks[asked.sink].name;
    if (asked.lane.what == engine::lane_key::kind::keyed) row.lane = asked.lane.value;
    row.error = printable(asked.reason, longest_error_bytes);
    row.attempts = asked.attempts;
    row.state = asked.state;
    row.holds_key = asked.holds_key;
    return row;
}

/// Each event that is parked is named; of a key that is held, its head.
void aside_clerk::tell(const engine::aside_put& asked, const postgres::aside_insert& row) {
    const bool has_sink = asked.delivery != engine::no_delivery;
    aside_counters& count = has_sink ? counters_[asked.sink] : counters_.back();
    const bool held = asked.state == engine::aside_state::held;
    ++(held ? count.held : count.parked);
    if (held && asked.reason.empty()) return;
    std::string text = has_sink ? "sink " + row.sink + ": " : "";
    text += held && row.key ? "a key is held: its events are set aside until it works again, from "
                            : "set aside: ";
    text += "table " + printable(row.table) + ", id " + printable(row.event_id) + ", LSN " +
            to_string(row.position.commit_lsn);
    if (row.key) text += ", key " + printable(*row.key);
    if (!row.destination.empty()) text += ", to " + printable(row.destination);
    spdlog::warn("{}: {}", text, row.error);
}

asio::awaitable<aside_clerk::done> aside_clerk::put(postgres::connection& link,
                                                    engine::put_request request) {
    std::vector<postgres::aside_insert> rows;
    std::vector<postgres::aside_insert> told;  // without the messages, which may be large
    for (const engine::aside_put& asked : request.rows) {
        postgres::aside_insert row = row_of(asked);
        intake::row_messages messages = std::move(row.messages);
        told.push_back(row);
        row.messages = std::move(messages);
        rows.push_back(std::move(row));
    }
    postgres::aside_scope scope = scope_;
    auto there = co_await postgres::put_aside(link, std::move(scope), std::move(rows));
    if (!there) co_return there.error();
    if (!*there) co_return false;
    for (std::size_t i = 0; i < told.size(); ++i)
        tell(request.rows[i], told[i]);
    desk_.decisions().put_done(**there);
    co_return true;
}

asio::awaitable<aside_clerk::done> aside_clerk::change(postgres::connection& link,
                                                       engine::change_request request) {
    std::vector<engine::aside_change> parked;
    std::copy_if(request.rows.begin(), request.rows.end(), std::back_inserter(parked),
                 [](const auto& one) { return one.state == engine::aside_state::parked; });
    postgres::aside_scope scope = scope_;
    auto changed = co_await postgres::change_aside(link, std::move(scope), std::move(request.rows));
    if (!changed) co_return changed.error();
    if (!*changed) co_return false;
    for (const engine::aside_change& one : parked) {
        ++counters_[one.sink].parked;
        spdlog::warn("sink {}: walrelay.parked row {} is parked again: {}",
                     model_.sinks[one.sink].name, one.id, printable(one.reason));
    }
    desk_.decisions().changes_done();
    co_return true;
}

asio::awaitable<aside_clerk::done> aside_clerk::load(postgres::connection& link,
                                                     engine::load_request request) {
    std::vector<postgres::aside_lane> lanes;
    for (const engine::aside_load& one : request.lanes) {
        postgres::aside_lane lane;
        lane.sink = model_.sinks[one.sink].name;
        lane.most_rows = one.most_rows;
        if (one.lane.what == engine::lane_key::kind::stored) {
            lane.id = static_cast<engine::aside_id>(one.lane.value);
        } else {
            lane.lane = one.lane.value;
            lane.redriven = one.lane.what == engine::lane_key::kind::redriven;
        }
        lanes.push_back(std::move(lane));
    }
    postgres::aside_scope scope = scope_;
    auto rows =
        co_await postgres::load_aside(link, std::move(scope), std::move(lanes), request.most_bytes);
    if (!rows) co_return rows.error();
    intake::feed_rows(desk_.decisions(), desk_.events(), *reader_, request, std::move(*rows));
    co_return true;
}

asio::awaitable<aside_clerk::done> aside_clerk::mark(postgres::connection& link,
                                                     engine::mark_request request) {
    const intake::mark wish = *desk_.events().at(request.event).wish;
    const bool drops = wish.what == intake::mark::action::drop;
    std::vector<engine::aside_id> ids = wish.ids;
    auto applied = co_await apply(link, drops, std::move(ids));
    if (!applied || !*applied) co_return applied;
    postgres::aside_scope scope = scope_;
    ids = wish.ids;
    auto rows = co_await postgres::marked_rows(link, std::move(scope), std::move(ids));
    if (!rows) co_return rows.error();
    std::vector<engine::lane_ref> touched;
    for (const postgres::aside_touched& one : *rows) {
        const auto sink = sink_index(one.sink);
        if (sink) touched.push_back({*sink, engine::lane_of_row(one.lane, one.id, one.holds_key)});
    }
    spdlog::info("{} {} rows of walrelay.parked, by mark {}", drops ? "dropped" : "sending again",
                 wish.ids.size(), wish.id);
    desk_.decisions().mark_done(touched);
    co_return true;
}

asio::awaitable<aside_clerk::done> aside_clerk::apply(postgres::connection& link, bool drops,
                                                      std::vector<engine::aside_id> ids) {
    postgres::aside_scope scope = scope_;
    if (drops) {
        auto dropped = co_await postgres::drop_aside(link, std::move(scope), std::move(ids));
        co_return dropped;
    }
    std::vector<engine::aside_id> unrouted = ids;
    auto redriven = co_await postgres::redrive_aside(link, std::move(scope), std::move(ids));
    if (!redriven || !*redriven) co_return redriven;
    auto routed = co_await reroute(link, std::move(unrouted));
    co_return routed;
}

/// Events that no route took, when they were set aside, go where today's routes say.
asio::awaitable<aside_clerk::done> aside_clerk::reroute(postgres::connection& link,
                                                        std::vector<engine::aside_id> ids) {
    std::sort(ids.begin(), ids.end());
    while (!ids.empty()) {
        postgres::aside_scope scope = scope_;
        std::vector<engine::aside_id> left = ids;
        auto rows = co_await postgres::load_unrouted(link, std::move(scope), std::move(left),
                                                     rerouted_bytes_at_once);
        if (!rows) co_return rows.error();
        if (rows->empty()) break;
        for (postgres::aside_unrouted& one : *rows) {
            std::vector<postgres::aside_insert> made;
            std::string reason = std::move(one.fault);
            if (reason.empty()) reason = route_again(std::move(one.row), made);
            scope = scope_;
            auto routed = co_await postgres::reroute_aside(link, std::move(scope), one.id,
                                                           std::move(made), std::move(reason));
            if (!routed || !*routed) co_return routed;
        }
        const engine::aside_id last = rows->back().id;
        std::erase_if(ids, [last](engine::aside_id id) { return id <= last; });
    }
    co_return true;
}

/// Rows for the sinks of today, or why there are none.
std::string aside_clerk::route_again(intake::stored_row&& row,
                                     std::vector<postgres::aside_insert>& made) {
    std::vector<event::placement> placements;
    auto read = reader_->read(std::move(row), placements);
    if (!read) return printable(read.error().text(), longest_error_bytes);
    if (placements.empty()) return "no route takes it, today neither";
    for (const event::placement& to : placements) {
        postgres::aside_insert one;
        describe(*read, to.sink, one);
        one.sink = model_.sinks[to.sink].name;
        if (to.keyed) one.lane = to.key_hash;
        one.state = engine::aside_state::held;
        made.push_back(std::move(one));
    }
    return {};
}

}  // namespace walrelay::relay
