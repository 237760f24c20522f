#include "walrelay/relay/follower.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "walrelay/core/escape.hpp"
#include "walrelay/event/message_row.hpp"
#include "walrelay/intake/arrival.hpp"
#include "walrelay/intake/mark.hpp"
#include "walrelay/postgres/catalog.hpp"
#include "walrelay/relay/link_options.hpp"
#include "walrelay/relay/preflight.hpp"
#include "walrelay/relay/standby.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds leave_timeout{2'000};

/// Two tails of one process id may meet on a server that two hosts share.
std::string temporary_name() {
    constexpr std::string_view digits = "0123456789abcdef";
    std::random_device source;
    std::string name = "walrelay_tail_" + std::to_string(::getpid()) + "_";
    for (int i = 0; i < 8; ++i)
        name += digits[source() % digits.size()];
    return name;
}

/// What the server says when a slot can't be made, with what mends it here.
error explained(postgres::sql_error failure) {
    constexpr const char* too_many_slots = "53400";
    if (failure.sqlstate == too_many_slots) {
        return {"make", "a temporary slot to follow on", failure.what.cause,
                "raise max_replication_slots (it takes a restart), or drop a slot that nobody "
                "needs: SELECT slot_name, active FROM pg_replication_slots"};
    }
    return std::move(failure.what);
}

}  // namespace

follower::follower(asio::io_context& loop, const config::model& model, follow_listener& listener)
    : loop_{loop},
      model_{model},
      listener_{listener},
      slot_{temporary_name()},
      wakeup_{loop.get_executor()} {}

follower::~follower() = default;

result<void> follower::open() {
    auto routes = event::router::make(model_);
    if (!routes) return routes.error();
    plans_.emplace(routes_.emplace(std::move(*routes)));
    for (const config::sink& entry : model_.sinks) {
        auto made = sink::make_previewer(entry, model_.limits);
        if (!made) return made.error();
        sinks_.push_back(std::move(*made));
    }
    return {};
}

asio::awaitable<error> follower::run() {
    postgres::connect_options options = link_options(model_.source, "tail");
    auto link = co_await postgres::connection::open(loop_.get_executor(), std::move(options));
    if (!link) co_return link.error().what;
    if (auto wrong = co_await look(**link)) co_return std::move(*wrong);
    if (auto wrong = co_await start(**link)) {
        server_process_ = 0;  // its connection is closed, and another process may get the number
        co_return std::move(*wrong);
    }
    link->reset();
    stream_->resume();
    const error end = co_await stream_until_end();
    stream_.reset();
    server_process_ = 0;
    co_return end;
}

/// As the start of the relay looks at the server; but a slot that isn't there yet is fine.
asio::awaitable<std::optional<error>> follower::look(postgres::connection& link) {
    const auto settings = co_await postgres::read_settings(link);
    if (!settings) co_return settings.error().what;
    if (auto wrong = judge_settings(*settings, link)) co_return wrong;
    if (!settings->role_may_replicate) {
        const std::string role = printable(quote_identifier(settings->role));
        co_return error{"follow", link.where(), "the role " + role + " lacks REPLICATION",
                        "ALTER ROLE " + role + " REPLICATION"};
    }
    status_period_ = status_period(settings->wal_sender_timeout_ms);
    const auto published = co_await postgres::read_publications(link, model_.source.publications);
    if (!published) co_return published.error().what;
    co_return judge_publications(*published, model_, *routes_);
}

asio::awaitable<std::optional<error>> follower::start(postgres::connection& link) {
    postgres::connect_options options = link_options(model_.source, "tail");
    options.replication = true;
    auto replication =
        co_await postgres::connection::open(loop_.get_executor(), std::move(options));
    if (!replication) co_return replication.error().what;
    server_process_ = (*replication)->backend_pid();
    postgres::stream_request request;
    request.slot = slot_;
    request.publications = model_.source.publications;
    request.messages = routes_->wants_messages();
    request.temporary = true;
    postgres::stream_handler& handler = *this;
    auto started = co_await postgres::replication_stream::start(std::move(*replication),
                                                                std::move(request), handler);
    if (!started) co_return explained(started.error());
    stream_ = std::move(*started);
    const auto made = co_await postgres::read_slot(link, slot_);
    if (!made) co_return made.error().what;
    if (!*made) co_return error{"follow", "slot " + slot_, "it is gone", ""};
    read_ = (*made)->confirmed_flush;
    listener_.on_ready(read_);
    co_return std::nullopt;
}

asio::awaitable<error> follower::stream_until_end() {
    time_point status_at = now() + status_period_;
    time_point probe_at = now() + probe_period;
    while (!end_) {
        co_await wakeup_.wait(std::min(status_at, probe_at));
        if (now() >= status_at) {
            send_status();
            status_at = now() + status_period_;
        }
        if (now() < probe_at) continue;
        probe_at = now() + probe_period;
        if (!paused_) continue;
        const bool stopping = co_await server_is_stopping(loop_.get_executor(), model_.source);
        if (stopping) co_return error{"follow", "slot " + slot_, "the server is stopping", ""};
    }
    co_return *end_;
}

/// A walsender that waits for transactions doesn't see that we have gone, and its slot would hold
/// WAL back until they end.
asio::awaitable<void> follower::leave() {
    if (stream_ || server_process_ == 0) co_return;
    postgres::connect_options options = link_options(model_.source, "tail");
    options.timeout = leave_timeout;
    const auto link = co_await postgres::connection::open(loop_.get_executor(), std::move(options));
    if (!link) co_return;
    std::string sql =
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        " WHERE usename = current_user AND backend_type = 'walsender' AND pid = " +
        std::to_string(server_process_);
    std::vector<std::optional<std::string>> none;
    const auto ended = co_await (*link)->query(std::move(sql), std::move(none), leave_timeout);
    static_cast<void>(ended);  // it goes by itself when the transactions have ended
}

void follower::resume() {
    if (!std::exchange(paused_, false) || !stream_) return;
    stream_->resume();
}

bool follower::on_frame(postgres::frame&& received) {
    if (end_) return false;
    const auto read = reader_.read(received.bytes());
    if (!read) {
        fail({"read", "the replication stream",
              "protocol error after LSN " + to_string(reader_.last_end()) + ": " +
                  read.error().text(),
              ""});
        return false;
    }
    if (const auto* row = std::get_if<pgoutput::row_inserted>(&*read)) {
        show(*row, received.size());
    } else if (std::holds_alternative<pgoutput::transaction_began>(*read)) {
        next_message_ = 0;
    } else if (const auto* message = std::get_if<pgoutput::message_emitted>(&*read)) {
        show(*message);
    } else if (const auto* alive = std::get_if<pgoutput::keepalive>(&*read)) {
        if (!reader_.open_transaction()) read_ = std::max(read_, alive->wal_end);
        if (alive->reply_requested) send_status();
    }
    return !paused_ && !end_;
}

void follower::show(const pgoutput::row_inserted& row, std::size_t bytes) {
    if (intake::holds_marks(**row.table)) return;  // of operators, for the relay
    const intake::planned_table& table = plans_->of(*row.table);
    event_ = {};
    event_.position = intake::position_of(*reader_.open_transaction(), row.ordinal);
    if (table.broken.empty()) return show(*table.plan, row.row, bytes);
    event_.table = table.plan->table();
    event_.id = table.plan->id_of(row.row, event_.position);
    event_.reason = intake::unmapped_fault(table.broken);
    tell();
}

/// As in intake: all messages are counted.
void follower::show(const pgoutput::message_emitted& message) {
    const auto plan = routes_->message_plan(message.prefix);
    const std::uint32_t ordinal = message.transactional ? next_message_++ : 0;
    if (!plan) return;
    event_ = {};
    event_.position = intake::position_of(message, reader_, ordinal);
    const event::message_row made{message.content, event_.position};
    show(*plan, made.row(), message.content.size());
}

void follower::show(const event::table_plan& plan, const pgoutput::tuple_view& row,
                    std::size_t content_bytes) {
    event_.table = plan.table();
    event_.id = plan.id_of(row, event_.position);
    const event::routing routed = plan.decide(row, placements_);
    switch (routed.what) {
        case event::routing::verdict::no_route:
            event_.reason = intake::no_route_fault(plan, event_.position.what);
            break;
        case event::routing::verdict::discarded: {
            event_.discarded = true;
            event_.reason =
                "the route at " + to_string(model_.routes[routed.route].at) + " says to: none";
            break;
        }
        case event::routing::verdict::routed:
            if (auto wrong = intake::size_fault(content_bytes, model_.limits.event_bytes)) {
                event_.reason = std::move(*wrong);
            } else {
                build(plan, row, routed);
            }
            break;
    }
    tell();
}

void follower::build(const event::table_plan& plan, const pgoutput::tuple_view& row,
                     const event::routing& routed) {
    constexpr std::uint64_t no_epoch = 0;
    deliveries_.resize(placements_.size());
    for (std::size_t i = 0; i < placements_.size(); ++i) {
        followed_delivery& made = deliveries_[i];
        made.sink = placements_[i].sink;
        made.fault.clear();
        const auto built =
            plan.build(row, routed.route, made.sink, event_.position, no_epoch, made.record);
        if (!built) {
            made.fault = built.error().text();
        } else if (auto wrong = sinks_[made.sink]->show(made.record, made.wire)) {
            made.fault = std::move(*wrong);
        }
    }
    event_.deliveries = deliveries_;
}

void follower::tell() {
    if (!listener_.on_event(event_)) paused_ = true;
}

/// The slot is our own and goes with us: what is read is confirmed. So a server that stops need not
/// wait for us.
void follower::send_status() {
    if (!reader_.open_transaction()) read_ = std::max(read_, reader_.last_end());
    stream_->send_status({read_, read_, read_, pg_now(), false});
}

void follower::on_end(postgres::sql_error end) {
    fail(std::move(end.what));
}

void follower::on_server_notice(std::string text) {
    // PostgreSQL 18 only warns when a publication is missing, and sends nothing of its tables.
    if (text.find("skipped loading publication") != std::string::npos)
        return fail({"follow", "slot " + slot_, "the server leaves out a publication", text});
    listener_.on_notice(std::move(text));
}

void follower::fail(error why) {
    if (!end_) end_ = std::move(why);
    wakeup_.notify();
}

}  // namespace walrelay::relay
