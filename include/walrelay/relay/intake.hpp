// Frames of one replication connection to the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/event/router.hpp"
#include "walrelay/pgoutput/stream_reader.hpp"
#include "walrelay/postgres/replication_stream.hpp"
#include "walrelay/relay/dispatcher.hpp"
#include "walrelay/relay/plan_cache.hpp"

namespace walrelay::relay {

/// Kept over reconnects.
struct intake_counters {
    std::map<std::string, std::uint64_t> received;  ///< rows by schema.table
    std::uint64_t discarded = 0;
    std::uint64_t ignored_changes = 0;
};

/// What the session does when the stream needs it.
struct intake_events {
    std::function<void()> burst_ended;
    std::function<void(postgres::sql_error)> stream_ended;
};

/// One for each connection: the protocol and its relations start anew.
class intake final : public postgres::stream_handler {
public:
    intake(const config::model& model, const event::router& routes, dispatcher& desk,
           intake_counters& counters, intake_events events);

    bool on_frame(postgres::frame&& received) override;
    void on_burst_end() override;
    void on_end(postgres::sql_error end) override;
    void on_server_notice(std::string text) override;

    /// No row of a new transaction is taken any more; the open one is read to its end.
    void stop_at_commit() noexcept { stopping_ = true; }

    /// Between transactions, with stop_at_commit() said: nothing more will be taken.
    [[nodiscard]] bool stopped() const noexcept { return stopping_ && !reader_.open_transaction(); }

    /// on_frame() said that it wants no more; resume() the stream when the engine wants rows again.
    [[nodiscard]] bool paused() const noexcept { return paused_; }

    void resumed() noexcept { paused_ = false; }

private:
    void begin_unit(lsn commit_lsn, std::int64_t commit_time_us);
    void take(const pgoutput::row_inserted& row, postgres::frame&& received);
    void take(const pgoutput::message_emitted& message);
    /// Routes one event and gives it to the engine. `bytes` is what it holds in memory: the frame,
    /// or the row that was made of a message; `content_bytes` what event_bytes is compared with.
    void place(stored_event&& arrived, std::size_t bytes, std::size_t content_bytes);
    /// An event error: nothing more is read, the event is named, and nothing from it on is
    /// acknowledged. What stands before it is still sent.
    void halt_on(stored_event&& arrived, std::size_t bytes, std::string reason);
    void ignore(const pgoutput::change_ignored& change);
    void fail(const std::string& what);

    const config::model& model_;
    const event::router& routes_;
    plan_cache plans_;
    dispatcher& desk_;
    intake_counters& counters_;
    intake_events events_;
    pgoutput::stream_reader reader_;
    const pgoutput::relation* counted_ = nullptr;  ///< the table that `received_` counts
    std::uint64_t* received_ = nullptr;
    std::vector<event::placement> placements_;
    std::uint32_t next_message_ = 0;  ///< ordinal in the open transaction
    bool resolved_before_ = false;    ///< the open transaction's rows were resolved earlier
    bool stopping_ = false;
    bool paused_ = false;
    bool failed_ = false;
};

}  // namespace walrelay::relay
