// Follows the database on a slot of its own, and tells what the relay would send.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/event/router.hpp"
#include "walrelay/intake/plan_cache.hpp"
#include "walrelay/pgoutput/stream_reader.hpp"
#include "walrelay/postgres/replication_stream.hpp"
#include "walrelay/relay/wakeup.hpp"
#include "walrelay/sink/preview.hpp"

namespace walrelay::relay {

/// What one sink would get.
struct followed_delivery {
    std::size_t sink = 0;  ///< index into config::model::sinks
    event::record record;
    sink::preview wire;
    std::string fault;  ///< why it would be an event error; then record and wire are of no use
};

/// A row, or a message that a route names.
struct followed_event {
    std::string id;  ///< the row's place in the WAL where its table can't be mapped
    std::string table;
    event::row_position position;
    bool discarded = false;                         ///< `to: none`
    std::string reason;                             ///< why no sink gets it
    std::span<const followed_delivery> deliveries;  ///< empty when no sink gets it
};

/// Told on the loop's thread.
class follow_listener {
public:
    virtual ~follow_listener() = default;
    /// The slot stands: all that commits from here on is told.
    virtual void on_ready(lsn from) = 0;
    /// The event is good during the call. False: no more until resume().
    virtual bool on_event(const followed_event& event) = 0;
    /// Something of the server that a person should read.
    virtual void on_notice(std::string text) = 0;
};

/// Delivers nothing and touches no slot but its own, which is temporary: the server drops it with
/// the connection, so nothing holds WAL back afterwards. Needs REPLICATION and CONNECT, no table.
class follower final : private postgres::stream_handler {
public:
    /// All outlive the follower.
    follower(boost::asio::io_context& loop, const config::model& model, follow_listener& listener);
    ~follower() override;

    /// Compiles the routes and looks at the sinks' options; no network. Once, before all else.
    [[nodiscard]] result<void> open();

    /// Makes the slot and follows it until the stream ends; the answer is why. The records that are
    /// shown have epoch 0: only a holder of the relay's slot draws one.
    boost::asio::awaitable<error> run();

    /// Ends what the server does for us, so that no walsender is left that waits for transactions.
    /// run() does not return then: stop the loop.
    boost::asio::awaitable<void> leave();

    /// After on_event() said false.
    void resume();

    /// The process of the server that makes the slot or streams; 0 before.
    [[nodiscard]] int server_process() const noexcept { return server_process_; }

private:
    bool on_frame(postgres::frame&& received) override;

    void on_burst_end() override {}

    void on_end(postgres::sql_error end) override;
    void on_server_notice(std::string text) override;

    boost::asio::awaitable<std::optional<error>> look(postgres::connection& link);
    boost::asio::awaitable<std::optional<error>> start(postgres::connection& link);
    boost::asio::awaitable<error> stream_until_end();
    void show(const pgoutput::row_inserted& row, std::size_t bytes);
    void show(const pgoutput::message_emitted& message);
    void show(const event::table_plan& plan, const pgoutput::tuple_view& row, std::size_t bytes);
    void build(const event::table_plan& plan, const pgoutput::tuple_view& row,
               const event::routing& routed);
    void tell();
    void send_status();
    void fail(error why);

    boost::asio::io_context& loop_;
    const config::model& model_;
    follow_listener& listener_;
    const std::string slot_;
    std::optional<event::router> routes_;
    std::vector<std::unique_ptr<sink::previewer>> sinks_;
    std::optional<intake::plan_cache> plans_;
    wakeup wakeup_;

    std::unique_ptr<postgres::replication_stream> stream_;
    pgoutput::stream_reader reader_;
    int server_process_ = 0;
    duration status_period_{};
    lsn read_;  ///< everything before is read
    std::uint32_t next_message_ = 0;
    bool paused_ = false;
    std::optional<error> end_;

    followed_event event_;
    std::vector<event::placement> placements_;
    std::vector<followed_delivery> deliveries_;
};

}  // namespace walrelay::relay
