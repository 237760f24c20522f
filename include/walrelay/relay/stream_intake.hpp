// The intake as the handler of a replication stream.
#pragma once

#include <functional>
#include <string>

#include "walrelay/intake/intake.hpp"
#include "walrelay/postgres/replication_stream.hpp"

namespace walrelay::relay {

/// What the session does when the stream needs it.
struct stream_events {
    std::function<void()> burst_ended;
    std::function<void(postgres::sql_error)> stream_ended;
};

/// One for each connection.
class stream_intake final : public postgres::stream_handler {
public:
    stream_intake(const config::model& model, const event::router& routes,
                  engine::engine& decisions, intake::event_store& events,
                  intake::intake_counters& counters, stream_events told);

    [[nodiscard]] intake::intake& rows() noexcept { return rows_; }

    /// After rows().stop_at_commit(); the stream is to be resumed when rows() isn't paused any
    /// more.
    void undo_stop();

    bool on_frame(postgres::frame&& received) override;
    void on_burst_end() override;
    void on_end(postgres::sql_error end) override;
    void on_server_notice(std::string text) override;

private:
    void show_notices();
    void fail(error why);

    intake::intake rows_;
    stream_events told_;
    bool failed_ = false;
};

}  // namespace walrelay::relay
