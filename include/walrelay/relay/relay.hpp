// The relay as a whole: owns the adapters, and executes what the engine decides.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "walrelay/admin/server.hpp"
#include "walrelay/config/changes.hpp"
#include "walrelay/config/model.hpp"
#include "walrelay/relay/aside_clerk.hpp"
#include "walrelay/relay/dispatcher.hpp"
#include "walrelay/relay/preflight.hpp"
#include "walrelay/relay/recorder.hpp"
#include "walrelay/relay/stall_log.hpp"
#include "walrelay/relay/stream_intake.hpp"
#include "walrelay/relay/wakeup.hpp"

namespace walrelay::relay {

/// The sink map's file, for whoever may read it again.
struct configuration_file {
    /// Nothing: it has errors, which were logged.
    std::function<std::optional<config::model>()> read;
    std::function<void(const config::log&)> use_log;
};

/// One process, one slot. Everything runs on one io_context and one thread.
class relay {
public:
    relay(config::model model, configuration_file file);
    ~relay();

    /// Until a signal, or a reason to give up. The answer is the exit code of README.
    int run();

private:
    /// How one connection ended, and what follows.
    struct ending {
        enum class next : std::uint8_t { retry, wait_for_slot, reload, stop, give_up };
        next what = next::retry;
        int exit_code = 0;
        bool seldom = false;  ///< retry, but no oftener than every minute: it doesn't mend itself
    };

    // relay.cpp: the life of the process
    boost::asio::awaitable<void> live();
    boost::asio::awaitable<void> watch_signals();
    boost::asio::awaitable<void> watch_reloads();
    boost::asio::awaitable<void> beat();
    int show_broken_invariant(const char* promise);
    void give_up_if_out_of_reach(time_point now);
    boost::asio::awaitable<void> wait_before_retry(const ending& last);
    void stop(int exit_code);
    [[nodiscard]] result<void> open_all();

    // session.cpp: one connection
    boost::asio::awaitable<ending> connect_and_stream();
    boost::asio::awaitable<ending> acquire(std::unique_ptr<postgres::connection> link,
                                           server_facts facts);
    boost::asio::awaitable<ending> stream_until_end();
    boost::asio::awaitable<void> drain(time_point deadline);
    boost::asio::awaitable<bool> record_all();
    boost::asio::awaitable<void> let_server_stop();
    boost::asio::awaitable<void> wait_until(time_point deadline);
    boost::asio::awaitable<void> leave_stream(bool tell_last_status);
    boost::asio::awaitable<void> await_orphans();
    [[nodiscard]] ending ending_of(const postgres::sql_error& failure);
    [[nodiscard]] ending refused(const engine::start_refusal& refusal);
    void tick();
    void changed();
    void arm_timer();
    void note_halt();

    // watch.cpp: while it flows
    boost::asio::awaitable<void> probe_server();
    boost::asio::awaitable<void> look_for_pauses();
    void set_pauses(const std::vector<postgres::pause_mark>& marks);
    boost::asio::awaitable<void> check_catalog();

    // reload.cpp: another sink map
    struct candidate {
        config::model model;
        event::router routes;
        dispatcher::sinks sinks;
        config::changes changes;
        bool approved = false;  ///< by the server, which was asked
    };

    void reload();
    void reloaded(const char* what);
    void refuse_reload(const std::string& why);
    void look_for_another_signal();
    void use_settings();
    boost::asio::awaitable<void> use_map();
    boost::asio::awaitable<void> judge_candidate();
    boost::asio::awaitable<bool> take_candidate();
    boost::asio::awaitable<bool> empty_window(time_point deadline);
    void go_on_with_old_map(const std::string& why);
    [[nodiscard]] bool must_leave() const;
    [[nodiscard]] bool all_is_resolved() const;
    [[nodiscard]] std::string what_fills_the_window() const;

    // snapshot.cpp: what is shown
    [[nodiscard]] admin::snapshot snapshot() const;
    void add_readiness(admin::snapshot& shown) const;
    void add_sinks(admin::snapshot& shown) const;

    config::model model_;
    const configuration_file file_;
    boost::asio::io_context loop_;
    std::optional<event::router> routes_;
    dispatcher desk_;
    aside_clerk clerk_;
    recorder recorder_;
    stall_log stalls_;
    intake::intake_counters received_;
    std::unique_ptr<admin::server> admin_;
    boost::asio::signal_set signals_;
    boost::asio::signal_set hangups_;
    boost::asio::steady_timer timer_;
    wakeup wakeup_;

    // of the present connection
    std::unique_ptr<stream_intake> intake_;
    std::unique_ptr<postgres::replication_stream> stream_;
    std::optional<postgres::sql_error> stream_end_;
    bool server_stopping_ = false;
    bool taken_over_ = false;
    bool ticking_ = false;
    time_point timer_at_ = never;  ///< when timer_ fires

    // of the process
    std::string state_ = "starting";
    std::string trouble_;  ///< why it doesn't stream, or which rows would never come
    std::string halt_text_;
    std::string reload_fault_;                          ///< why the last reload changed nothing
    std::optional<candidate> candidate_;                ///< was read, and is not in use yet
    bool hung_up_again_ = false;                        ///< SIGHUP came meanwhile
    bool halted_by_sink_ = false;                       ///< what halt_text_ tells of
    std::optional<postgres::server_identity> history_;  ///< of the stream before this one
    bool has_streamed_ = false;
    bool stopping_ = false;
    time_point stop_asked_at_{};
    bool slot_wait_logged_ = false;
    std::uint64_t reconnects_ = 0;
    std::uint32_t failures_ = 0;        ///< connections in a row that brought nothing
    std::uint32_t barren_streams_ = 0;  ///< streams in a row that moved nothing
    time_point stream_start_{};
    lsn safe_at_start_;
    std::optional<time_point> out_of_reach_since_;  ///< the first attempt without any answer
    std::uint64_t slot_retained_bytes_ = 0;
    std::uint64_t publications_checked_at_ = 0;  ///< WAL position of the last look at the catalog
    time_point last_look_{};
    time_point last_probe_{};
    time_point last_catalog_check_{};
    time_point last_pause_look_{};
    duration loop_latency_{};
    int exit_code_ = 0;
};

}  // namespace walrelay::relay
