#include "walrelay/relay/recorder.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <spdlog/spdlog.h>

#include "walrelay/engine/start_check.hpp"
#include "walrelay/relay/link_options.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

constexpr duration idle_limit = std::chrono::seconds{10};
constexpr duration between_halts = std::chrono::seconds{1};
constexpr const char* wrong_server_state = "08W01";  ///< ours: of class 08, connection exception

std::int64_t hour_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::hours>(now).count();
}

postgres::sql_error other_server(const std::string& slot) {
    postgres::sql_error answer;
    answer.sqlstate = wrong_server_state;
    answer.what = {"record progress", "slot \"" + slot + "\"",
                   "the SQL connection leads to another server, or to one that was restarted since "
                   "the stream began",
                   "source.conninfo must name one server, or target_session_attrs=read-write"};
    answer.connection_lost = true;
    return answer;
}

}  // namespace

recorder::recorder(asio::any_io_executor loop, const config::source& source,
                   engine::engine& decisions, aside_clerk& clerk, recorder_events events)
    : loop_{std::move(loop)},
      source_{source},
      decisions_{decisions},
      clerk_{clerk},
      events_{std::move(events)} {}

void recorder::begin(std::unique_ptr<postgres::connection> link, postgres::server_identity server,
                     std::uint64_t epoch) {
    link_ = std::move(link);
    server_ = std::move(server);
    epoch_ = epoch;
    last_use_ = std::chrono::steady_clock::now();
    upkeep_.begin(hour_now());
    errors_ = {};
    active_ = true;
    reads_ = true;
}

void recorder::tick(time_point now, bool at_once) {
    if (!active_ || busy_) return;
    // Another record may be due at once: where much is delivered, or after one that failed slowly.
    if (!at_once && std::exchange(store_first_, false) && start_store_call(now)) return;
    if (auto record = decisions_.record_due(now, at_once)) {
        store_first_ = true;
        start(write(std::move(*record)), now);
    } else if (halt_due_ && now >= halt_not_before_) {
        halt_due_ = false;
        start(write_halt(decisions_.progress().recorded()), now);
    } else if (!kept_up_ && start_upkeep(now)) {
        // The store's turn is next: neither waits for more than one call of the other.
    } else if (!start_store_call(now)) {
        static_cast<void>(start_upkeep(now));
    }
}

bool recorder::start_store_call(time_point now) {
    auto request = decisions_.store_due(now, reads_);
    if (!request) return false;
    kept_up_ = false;
    start(call_store(std::move(*request)), now);
    return true;
}

bool recorder::start_upkeep(time_point now) {
    kept_up_ = reads_ && upkeep_.due();
    if (kept_up_) start(keep_small(), now);
    return kept_up_;
}

void recorder::start(asio::awaitable<void> work, time_point now) {
    busy_ = true;
    last_use_ = now;
    asio::co_spawn(loop_, std::move(work), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);  // out of the loop: the relay ends
    });
}

/// Why there is none, if there is none.
asio::awaitable<std::optional<postgres::sql_error>> recorder::open_link() {
    if (link_) co_return std::nullopt;
    postgres::connect_options options = link_options(source_, source_.slot);
    auto opened = co_await postgres::connection::open(loop_, std::move(options));
    if (!opened) co_return opened.error();
    auto identity = co_await postgres::read_identity(**opened);
    if (!identity) co_return identity.error();
    if (!(*identity == server_)) co_return other_server(source_.slot);
    link_ = std::move(*opened);
    co_return std::nullopt;
}

asio::awaitable<postgres::sql_result<std::optional<postgres::recorded>>> recorder::write_once(
    const engine::progress_schedule::write& record) {
    if (auto why = co_await open_link()) co_return std::move(*why);
    std::optional<std::string> halt;
    if (!halt_.empty()) halt = halt_;
    auto written = co_await postgres::record_progress(*link_, source_.slot, epoch_, record.safe,
                                                      server_.timeline, record.delivered_snapshot,
                                                      std::move(halt));
    co_return written;
}

asio::awaitable<void> recorder::write(engine::progress_schedule::write record) {
    auto written = co_await write_once(record);
    last_use_ = std::chrono::steady_clock::now();
    if (!written) {
        // Whether the server has the record is unknown: nothing is acknowledged by it.
        decisions_.record_failed();
        co_return failed(call::record, written.error());
    }
    succeeded(call::record);
    if (!*written) {
        decisions_.record_failed();
        co_return lost_slot();
    }
    decisions_.recorded(std::move((*written)->snapshot), (*written)->insert_lsn);
    upkeep_.note(hour_now());  // of rows that the record covers
    busy_ = false;
    events_.recorded();
}

recorder::call recorder::call_of(const engine::aside_request& request) noexcept {
    if (std::holds_alternative<engine::put_request>(request)) return call::put;
    if (std::holds_alternative<engine::change_request>(request)) return call::change;
    return std::holds_alternative<engine::load_request>(request) ? call::load : call::mark;
}

std::string recorder::trouble() const {
    constexpr std::array<const char*, calls> texts{
        "progress can't be recorded: ", "nothing can be set aside: ",
        "what became of events that were set aside can't be written down: ",
        "events that were set aside can't be read back: ", "a redrive or drop can't be applied: "};
    for (std::size_t i = 0; i < errors_.size(); ++i)
        if (!errors_[i].empty()) return texts[i] + errors_[i];
    return {};
}

void recorder::succeeded(call what) {
    std::string& error = errors_[static_cast<std::size_t>(what)];
    if (!error.empty() && what == call::record) spdlog::info("progress is recorded again");
    error.clear();
}

void recorder::failed(call what, const postgres::sql_error& why) {
    if (why.connection_lost) link_.reset();
    busy_ = false;
    std::string text = why.what.text();
    if (std::find(errors_.begin(), errors_.end(), text) == errors_.end()) spdlog::warn("{}", text);
    errors_[static_cast<std::size_t>(what)] = std::move(text);
    if (why.sqlstate == wrong_server_state) events_.wrong_server(why);
    if (engine::server_is_stopping(why.sqlstate)) events_.server_stopping();
    events_.recorded();  // when it is tried again is known now
}

void recorder::lost_slot() {
    busy_ = false;
    active_ = false;
    events_.taken_over();
}

/// What is to be set aside counts as resolved only when the clerk has told the engine that it is
/// durable.
asio::awaitable<void> recorder::call_store(engine::aside_request request) {
    const call what = call_of(request);
    postgres::sql_result<bool> done{true};
    if (auto why = co_await open_link()) {
        done = std::move(*why);
    } else {
        done = co_await clerk_.carry_out(*link_, std::move(request));
    }
    last_use_ = std::chrono::steady_clock::now();
    if (!done) {
        decisions_.store_failed(last_use_);
        co_return failed(what, done.error());
    }
    succeeded(what);
    if (!*done) {
        decisions_.store_failed(last_use_);
        co_return lost_slot();
    }
    busy_ = false;
    events_.recorded();
}

/// A halt moves nothing, so no record would tell it.
asio::awaitable<void> recorder::write_halt(lsn safe) {
    engine::progress_schedule::write same{safe, std::nullopt};
    auto written = co_await write_once(same);
    last_use_ = std::chrono::steady_clock::now();
    if (!written) {
        halt_due_ = true;
        halt_not_before_ = last_use_ + between_halts;
        co_return failed(call::record, written.error());
    }
    succeeded(call::record);
    if (!*written) co_return lost_slot();
    busy_ = false;
    events_.recorded();
}

/// One statement of the hour's upkeep.
asio::awaitable<void> recorder::keep_small() {
    std::optional<postgres::sql_error> failure = co_await open_link();
    if (failure) {
        upkeep_.begin(hour_now());
    } else {
        auto done = co_await upkeep_.next(*link_);
        if (!done) failure = done.error();
    }
    if (failure) {
        spdlog::warn("{}", failure->what.text());
        if (failure->connection_lost) link_.reset();
    }
    last_use_ = std::chrono::steady_clock::now();
    busy_ = false;
    events_.recorded();
}

void recorder::close_idle(time_point now) {
    if (!busy_ && link_ && now - last_use_ >= idle_limit) link_.reset();
}

asio::awaitable<void> recorder::end() {
    active_ = false;
    asio::steady_timer poll{loop_};
    while (busy_) {
        poll.expires_after(std::chrono::milliseconds{5});
        co_await poll.async_wait(asio::use_awaitable);
    }
    link_.reset();
}

}  // namespace walrelay::relay
