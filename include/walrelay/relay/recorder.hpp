// Writes the progress record, and what is set aside, when the engine says so.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "walrelay/config/model.hpp"
#include "walrelay/engine/engine.hpp"
#include "walrelay/postgres/progress.hpp"
#include "walrelay/postgres/upkeep.hpp"
#include "walrelay/relay/aside_clerk.hpp"

namespace walrelay::relay {

struct recorder_events {
    /// A call of the server has ended: an acknowledgement may follow, or the next call.
    std::function<void()> recorded;
    std::function<void()> taken_over;  ///< the record has another epoch: another relay has the slot
    std::function<void()> server_stopping;  ///< the server refuses or ends SQL connections
    std::function<void(postgres::sql_error)>
        wrong_server;  ///< not the one that the stream comes from
};

/// Owns the relay's one lasting SQL connection; an idle one is closed, as it would hold up a smart
/// shutdown. Lives as long as the relay.
class recorder {
public:
    recorder(boost::asio::any_io_executor loop, const config::source& source,
             engine::engine& decisions, aside_clerk& clerk, recorder_events events);

    /// The slot is held with this epoch. `link` may be used from now on; a new connection must lead
    /// to `server`.
    void begin(std::unique_ptr<postgres::connection> link, postgres::server_identity server,
               std::uint64_t epoch);

    /// Told to the record, and so to operators who look at it.
    void set_halt(std::string halt) {
        halt_ = std::move(halt);
        halt_due_ = true;
    }

    /// Starts a write, or what else the store is asked for, if one is due. `at_once`: the record
    /// also before its time.
    void tick(time_point now, bool at_once = false);

    /// Whether held rows are read back from the store; they are from begin() on.
    void set_reading(bool reads) noexcept { reads_ = reads; }

    void close_idle(time_point now);
    /// The slot is lost or given up: no new write. Waits for the one that is under way.
    boost::asio::awaitable<void> end();

    [[nodiscard]] bool busy() const noexcept { return busy_; }

    /// What fails, and why; empty: nothing does.
    [[nodiscard]] std::string trouble() const;

private:
    /// What is asked of the server. Each fails and recovers by itself.
    enum class call : std::uint8_t { record, put, change, load, mark };
    static constexpr std::size_t calls = 5;

    [[nodiscard]] static call call_of(const engine::aside_request& request) noexcept;
    void failed(call what, const postgres::sql_error& why);
    void succeeded(call what);
    boost::asio::awaitable<void> write(engine::progress_schedule::write record);
    boost::asio::awaitable<postgres::sql_result<std::optional<postgres::recorded>>> write_once(
        const engine::progress_schedule::write& record);
    boost::asio::awaitable<std::optional<postgres::sql_error>> open_link();
    boost::asio::awaitable<void> write_halt(lsn safe);
    boost::asio::awaitable<void> call_store(engine::aside_request request);
    void lost_slot();
    boost::asio::awaitable<void> keep_small();
    [[nodiscard]] bool start_store_call(time_point now);
    [[nodiscard]] bool start_upkeep(time_point now);
    void start(boost::asio::awaitable<void> work, time_point now);

    boost::asio::any_io_executor loop_;
    const config::source& source_;
    engine::engine& decisions_;
    aside_clerk& clerk_;
    recorder_events events_;
    std::unique_ptr<postgres::connection> link_;
    postgres::server_identity server_;
    std::uint64_t epoch_ = 0;
    std::string halt_;
    std::array<std::string, calls> errors_;  ///< by call; empty: the last one succeeded
    postgres::upkeep upkeep_;
    time_point last_use_{};
    time_point halt_not_before_{};  ///< after a write that failed
    bool halt_due_ = false;         ///< no record is due that would carry it
    bool active_ = false;
    bool reads_ = true;
    bool kept_up_ = false;      ///< by the last call
    bool store_first_ = false;  ///< before the record
    bool busy_ = false;
};

}  // namespace walrelay::relay
