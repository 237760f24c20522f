// One keep-alive connection of an HTTP sink and the attempt on it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "name_lookup.hpp"
#include "response_reader.hpp"
#include "transport.hpp"
#include "walrelay/config/model.hpp"
#include "walrelay/core/clock.hpp"
#include "walrelay/engine/outcome.hpp"

namespace walrelay::sink::http {

/// What all connections of a sink share. Outlives them.
struct connection_settings {
    /// A transport for one connection; the transport's user is the connection.
    std::function<std::shared_ptr<transport>(transport::user&)> make_transport;
    std::string server;  ///< "host:port", for reasons
    std::chrono::milliseconds timeout{};
    std::vector<config::status_range> success;
    /// The address that took the last connection: tried first, until it is silent.
    std::optional<tcp::endpoint> answered;
    std::size_t second_looks = 0;  ///< so often the addresses had a second one, each first in turn
};

/// Carries one attempt after the other. An attempt includes resolving, connecting to each address
/// in turn, and, when the server had closed an idle connection just as it was used again, one
/// repeat on a fresh one. It ends in exactly one outcome, at the latest after `timeout`.
///
///   closed → resolving → connecting → exchanging → (draining →) idle or closed
class connection final : private transport::user, private name_lookup::user {
public:
    class owner {
    public:
        /// The request of the attempt is sent once more, on a fresh connection.
        virtual void on_repeat() = 0;
        /// The attempt is over. The connection may be used again at once when it is free().
        virtual void on_outcome(connection& which, engine::outcome&& outcome) = 0;
        /// It was draining, and is free now.
        virtual void on_free(connection& which) = 0;
        /// It was idle, and is closed now.
        virtual void on_lapsed(connection& which) = 0;
        /// deadline() is earlier than it was.
        virtual void on_deadline(time_point when) = 0;

    protected:
        ~owner() = default;
    };

    connection(connection_settings& settings, name_lookup& lookup, owner& who);
    ~connection();
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    /// Where the caller writes the head of the next request; while free().
    [[nodiscard]] std::string& head() noexcept { return head_; }

    /// Begins an attempt with what is in head(). `body` stays until on_outcome() when `body_stays`,
    /// else it is copied. While free().
    void begin(engine::attempt_token token, std::string_view body, bool body_stays, time_point now);

    [[nodiscard]] engine::attempt_token token() const noexcept { return token_; }

    [[nodiscard]] bool free() const noexcept {
        return state_ == state::closed || state_ == state::idle;
    }

    [[nodiscard]] bool idle() const noexcept { return state_ == state::idle; }

    /// Idle, and as far as can be seen the server still wants it.
    [[nodiscard]] bool usable(time_point now);
    /// Closes an idle connection.
    void discard();

    /// What is not on the wire yet is not sent any more: soon the attempt ends in an outcome.
    void call_off(time_point now);

    /// When expire() has to be called; `never` when closed.
    [[nodiscard]] time_point deadline() const noexcept { return deadline_; }

    void expire(time_point now);

private:
    enum class state : std::uint8_t { closed, resolving, connecting, exchanging, draining, idle };

    void on_addresses(const boost::system::error_code& failure,
                      const name_lookup::endpoints& found) override;
    void on_open() override;
    void on_input() override;
    void on_written() override;
    void on_broken(breakdown&& why) override;

    void set_deadline(time_point when);
    void start_fresh(time_point now);
    void connect_to_all(time_point now);
    void connect_next(time_point now);
    void send();
    void read_answer();
    void judge();
    void drain();
    void settle_down(time_point now);
    void fail(engine::outcome_class what, std::string reason);
    void conclude(engine::outcome&& outcome);
    void drop();
    [[nodiscard]] std::string connecting_to() const;

    // Constant after construction.
    connection_settings& settings_;
    name_lookup& lookup_;
    owner& owner_;

    state state_ = state::closed;
    time_point deadline_ = never;

    // The attempt.
    engine::attempt_token token_;
    std::string head_;
    std::string body_copy_;
    std::string_view body_;
    time_point attempt_ends_ = never;
    bool called_off_ = false;    ///< nothing of it is to be sent from now on
    bool reused_ = false;        ///< the transport has carried an earlier attempt
    bool answer_begun_ = false;  ///< at least one byte of an answer came
    int interim_answers_ = 0;

    // The connection.
    std::shared_ptr<transport> transport_;
    name_lookup::endpoints addresses_;
    std::size_t next_address_ = 0;
    std::size_t first_looks_ = 0;  ///< so many addresses get a short time at first
    time_point connect_ends_ = never;
    time_point opened_at_{};
    time_point idle_since_{};
    response_reader answer_;
};

}  // namespace walrelay::sink::http
