// A pool of connections to one HTTP endpoint.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "connection.hpp"
#include "name_lookup.hpp"
#include "request_writer.hpp"
#include "token_bucket.hpp"
#include "walrelay/sink/sink.hpp"

namespace walrelay::sink::http {

/// Sends each record as one POST. Holds no queue: a record is on a connection or not taken. Not to
/// be destroyed from inside a call to its listener.
class http_sink final : public sink, private connection::owner {
public:
    http_sink(boost::asio::io_context& loop, const origin& where, connection_settings settings,
              request_writer writer, std::size_t limit_connections,
              const config::request_rate& rate, std::size_t index, listener& events);
    ~http_sink() override;

    [[nodiscard]] ordering order() const noexcept override { return ordering::serial; }

    [[nodiscard]] bool has_room() override;

    admission send(engine::attempt_token token, std::uint32_t attempt, const event::record& record,
                   engine::outcome& refusal) override;

    /// What is on the wire is awaited or times out.
    void purge() override;

    [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_; }

private:
    void on_repeat() override;
    void on_outcome(connection& which, engine::outcome&& outcome) override;
    void on_free(connection& which) override;
    void on_lapsed(connection& which) override;
    void on_deadline(time_point when) override;

    [[nodiscard]] bool has_token();
    [[nodiscard]] connection* take_free();
    void put_back(connection& which);
    void expire_due();

    // Constant after construction.
    connection_settings settings_;
    name_lookup lookup_;
    const request_writer writer_;
    const std::size_t limit_connections_;
    const std::size_t index_;
    listener& listener_;

    std::size_t in_flight_ = 0;
    bool was_full_ = false;  ///< somebody waits for settled()
    token_bucket tokens_;
    time_point token_due_ = never;  ///< somebody waits for settled() because there was none

    /// One timer for all deadlines, armed for the earliest that was asked for and looked at only
    /// then: an attempt that ends in time, as nearly all do, costs no work on timers.
    boost::asio::steady_timer timer_;
    time_point armed_for_ = never;
    std::shared_ptr<http_sink*> self_;  ///< what the timer's handler holds on to weakly

    // Last, and so gone first: they leave the look-up.
    std::vector<std::unique_ptr<connection>> connections_;
    std::vector<connection*> closed_;
    std::vector<connection*> idle_;  ///< the one used last is used next, so that surplus ones lapse
};

}  // namespace walrelay::sink::http
