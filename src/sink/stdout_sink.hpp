// One line of JSON an event on standard output.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "walrelay/sink/outlet.hpp"
#include "walrelay/sink/sink.hpp"

namespace walrelay::sink {

/// Gathers the lines of a burst and writes them when the loop is free; an event is delivered when
/// write(2) has taken its whole line. A reader that is slow holds up the events, not the loop.
class stdout_sink final : public sink {
public:
    /// `descriptor` is 1 but for tests.
    stdout_sink(boost::asio::io_context& loop, std::string name, std::size_t index,
                listener& events, int descriptor = 1);
    ~stdout_sink() override;

    [[nodiscard]] ordering order() const noexcept override { return ordering::pipelined; }

    [[nodiscard]] bool has_room() override;
    admission send(engine::attempt_token token, std::uint32_t attempt, const event::record& record,
                   engine::outcome& refusal) override;

    /// A line that has begun can't be taken back, and no other waits for anything but the reader.
    void purge() override {}

    [[nodiscard]] std::size_t in_flight() const noexcept override { return waiting_.size(); }

private:
    struct line {
        engine::attempt_token token;
        std::uint64_t end = 0;  ///< where it ends, counted from the first byte ever
    };

    void schedule();
    void flush();
    void fail_all(int cause);
    void retry_later();

    boost::asio::io_context& loop_;
    const std::string name_;
    const std::size_t index_;
    listener& listener_;

    outlet out_;
    std::deque<line> waiting_;
    bool scheduled_ = false;
    bool torn_ = false;  ///< the last line that was given up had begun
    boost::asio::steady_timer timer_;
    std::shared_ptr<stdout_sink*> self_;  ///< what handlers hold on to weakly
};

}  // namespace walrelay::sink
