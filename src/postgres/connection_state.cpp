#include "connection_state.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace walrelay::postgres {

namespace asio = boost::asio;

int duplicate(int descriptor) noexcept {
    return descriptor < 0 ? -1 : ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
}

connection::state::~state() {
    if (unwatched >= 0) ::close(unwatched);
}

void connection::state::stop_watching() {
    if (unwatched < 0 && socket.is_open()) unwatched = socket.release();
}

void connection::state::watch_again() {
    if (unwatched < 0) return;
    socket.assign(unwatched);
    unwatched = -1;
}

bool connection::state::watch_socket() {
    const int copy = duplicate(PQsocket(link.get()));
    if (copy < 0) return false;
    socket.assign(copy);
    return true;
}

asio::awaitable<bool> wait_for_socket(asio::posix::stream_descriptor& socket,
                                      asio::posix::stream_descriptor::wait_type what,
                                      time_point deadline) {
    // The timer's handler may still be queued when this frame is gone: it owns what it touches.
    struct watch {
        asio::posix::stream_descriptor* socket;
        bool expired = false;
    };

    const auto shared = std::make_shared<watch>(watch{&socket});

    struct detach {
        watch& of;

        ~detach() { of.socket = nullptr; }
    } const detach_at_end{*shared};

    asio::steady_timer timer{socket.get_executor(), deadline};
    timer.async_wait([shared](const boost::system::error_code& failure) {
        if (failure || shared->socket == nullptr) return;
        shared->expired = true;
        shared->socket->cancel();
    });
    boost::system::error_code failure;
    auto token = asio::redirect_error(asio::use_awaitable, failure);
    co_await socket.async_wait(what, token);
    co_return !shared->expired;
}

}  // namespace walrelay::postgres
