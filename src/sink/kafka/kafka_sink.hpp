// Records to Kafka.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "client.hpp"
#include "produce_window.hpp"
#include "settings.hpp"
#include "trouble.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/sink/sink.hpp"

namespace walrelay::sink::kafka {

/// Hands records to a client and tells what became of them. A client with a fatal error is
/// replaced. Until the last report of the old one is there, and after a purge, nothing is taken: a
/// record that went to the new client while an older one of its key is still to be reported would
/// overtake it.
class kafka_sink final : public sink, private client::observer {
public:
    kafka_sink(boost::asio::io_context& loop, const config::kafka_sink& entry, std::string name,
               std::size_t index, kafka::settings with, listener& events);
    kafka_sink(const kafka_sink&) = delete;
    kafka_sink& operator=(const kafka_sink&) = delete;
    ~kafka_sink() override = default;

    /// Once, before anything else.
    [[nodiscard]] result<void> start();

    [[nodiscard]] ordering order() const noexcept override { return ordering::pipelined; }

    [[nodiscard]] bool has_room() override;
    admission send(engine::attempt_token token, std::uint32_t attempt, const event::record& record,
                   engine::outcome& refusal) override;
    void purge() override;
    [[nodiscard]] std::size_t in_flight() const noexcept override;
    [[nodiscard]] bool at_rest() const noexcept override;
    /// The producer: its threads may be looking up a name. May be called from on_turn_end(), whose
    /// callers look at nothing afterwards.
    [[nodiscard]] std::shared_ptr<void> retire() override;

private:
    enum class phase : std::uint8_t {
        open,       ///< records are taken
        draining,   ///< after a purge: open again when every report is there
        retiring,   ///< its batches are too large for a topic: replaced when every report is there
        dying,      ///< after a fatal error: purged, then the same
        replacing,  ///< there is no client
    };

    void on_reports(std::span<const rd_kafka_message_t* const> reports) override;
    void on_error(rd_kafka_resp_err_t code, std::string_view text) override;
    void on_topic_limit(std::string_view topic, std::size_t bytes) override;
    void on_partitions_changed(std::string_view text) override;
    void on_turn_end() override;

    void tell_failure(const rd_kafka_message_t& report, engine::attempt_token token);
    void something_is_wrong(std::string text);
    void no_broker_answers(const std::string& cause);
    void explain_size(const rd_kafka_message_t& report, engine::outcome& outcome);

    admission not_taken(rd_kafka_resp_err_t code, const event::record& record,
                        engine::outcome& refusal);
    admission wait_for_room() noexcept;
    [[nodiscard]] engine::outcome purged_by_fatal_error() const;
    void client_is_dead();
    void drain();
    void purge_again();
    void replace();
    void reopen_later();
    void reopen();
    void tell_when_window_opens();
    void show_trouble();
    void watch_stale_trouble();
    template <class Handler>
    auto while_alive(Handler handler);

    boost::asio::io_context& loop_;
    const std::string brokers_;
    const std::string name_;
    const bool metadata_;
    const std::size_t index_;
    kafka::settings settings_;
    listener& events_;

    std::unique_ptr<client> client_;
    phase phase_ = phase::open;
    produce_window window_;
    boost::asio::steady_timer window_timer_;
    bool window_timer_runs_ = false;
    bool asked_for_room_ = false;  ///< somebody was told `full` and waits for settled()
    bool reported_ = false;        ///< in this turn
    bool limit_asked_in_turn_ = false;

    /// max.message.bytes of topics that refused a batch for its size; 0 while it is asked for.
    std::map<std::string, std::size_t, std::less<>> topic_limits_;
    std::size_t batch_bytes_ = 0;  ///< what batch.size had to be lowered to; 0: as configured

    std::string broker_cause_;  ///< the last thing that a broker's connection failed of
    std::string unreachable_;   ///< the broker that the trouble quotes, if it is that none answers
    trouble trouble_;
    bool stale_timer_runs_ = false;
    boost::asio::steady_timer stale_timer_;

    rd_kafka_resp_err_t fatal_code_ = RD_KAFKA_RESP_ERR_NO_ERROR;
    std::string fatal_text_;
    std::uint32_t deaths_ = 0;  ///< of clients since the last delivery
    boost::asio::steady_timer phase_timer_;
    std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
    /// Ends an old client. Last: it is joined before anything that it may still touch goes.
    std::jthread undertaker_;
};

}  // namespace walrelay::sink::kafka
