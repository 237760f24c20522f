#include "name_lookup.hpp"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <csignal>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace walrelay::sink::http {

using boost::system::error_code;
using tcp = boost::asio::ip::tcp;

/// From the threads to the loop, as long as there is one. What it posts holds the way back itself,
/// so that an answer that comes too late finds nobody.
struct name_lookup::way_back : std::enable_shared_from_this<way_back> {
    using executor = boost::asio::io_context::executor_type;

    way_back(name_lookup& who, const executor& where) : loop{where}, owner{&who} {}

    void post(const error_code& failure, endpoints found) {
        const std::lock_guard lock{mutex};
        if (!loop) return;
        boost::asio::post(*loop, [self = shared_from_this(), failure, found = std::move(found)] {
            if (self->owner != nullptr) self->owner->answer(failure, found);
        });
    }

    void close() {
        const std::lock_guard lock{mutex};
        loop.reset();
        owner = nullptr;
    }

    std::mutex mutex;
    std::optional<executor> loop;  ///< none when the owner has gone, and maybe the loop with it
    name_lookup* owner;            ///< for the loop's thread
};

namespace {

/// In the calling thread.
error_code resolve(const std::string& host, const std::string& service,
                   name_lookup::endpoints& found) {
    try {
        boost::asio::io_context own;
        tcp::resolver resolver{own};
        for (const auto& entry : resolver.resolve(host, service, tcp::resolver::numeric_service))
            found.push_back(entry.endpoint());
        return {};
    } catch (const boost::system::system_error& failure) {
        return failure.code();
    }
}

/// Signals are for the loop's thread.
class signals_blocked {
public:
    signals_blocked() {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, &before_);
    }

    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;

private:
    sigset_t before_{};
};

}  // namespace

name_lookup::name_lookup(boost::asio::io_context& loop, const origin& where)
    : host_{where.host},
      service_{std::to_string(where.port)},
      way_back_{std::make_shared<way_back>(*this, loop.get_executor())} {
    error_code not_an_address;
    const auto address = boost::asio::ip::make_address(where.host, not_an_address);
    if (!not_an_address) literal_.emplace_back(address, where.port);
}

name_lookup::~name_lookup() {
    way_back_->close();
}

void name_lookup::join(user& who) {
    waiting_.push_back(&who);
    if (!std::exchange(under_way_, true)) ask();
}

void name_lookup::ask() {
    const signals_blocked in_the_thread;
    try {
        std::thread{[way = way_back_, host = host_, service = service_] {
            endpoints found;
            const error_code failure = resolve(host, service, found);
            way->post(failure, std::move(found));
        }}.detach();
    } catch (const std::system_error& refused) {
        // A thread that the system doesn't grant: a failed look-up, tried again.
        way_back_->post({refused.code().value(), boost::system::system_category()}, {});
    }
}

void name_lookup::leave(user& who) noexcept {
    std::erase(waiting_, &who);
}

void name_lookup::answer(const error_code& failure, const endpoints& found) {
    under_way_ = false;
    // One by one: what a user does then may bring another to join or to leave.
    for (std::size_t left = waiting_.size(); left > 0 && !waiting_.empty(); --left) {
        user* const who = waiting_.front();
        waiting_.erase(waiting_.begin());
        who->on_addresses(failure, found);
    }
}

}  // namespace walrelay::sink::http
