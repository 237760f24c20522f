// Lets a coroutine wait for something that callbacks tell it.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "walrelay/core/clock.hpp"

namespace walrelay::relay {

/// One waiter, any number of notifiers, one thread. A notification that nobody waits for is kept.
class wakeup {
public:
    explicit wakeup(boost::asio::any_io_executor loop) : timer_{loop} {}

    void notify() {
        notified_ = true;
        timer_.cancel();
    }

    /// Until notified, or until `deadline`.
    /// Always gives the loop a turn, so a waiter that is notified again and again starves nobody.
    boost::asio::awaitable<void> wait(time_point deadline) {
        timer_.expires_at(notified_ ? time_point::min() : deadline);
        auto done = co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        static_cast<void>(done);  // cancelled or expired: the waiter looks for itself
        notified_ = false;
    }

private:
    boost::asio::steady_timer timer_;
    bool notified_ = false;
};

}  // namespace walrelay::relay
