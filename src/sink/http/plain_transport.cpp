#include "plain_transport.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <cerrno>

namespace walrelay::sink::http {

using boost::system::error_code;

plain_transport::plain_transport(boost::asio::io_context& loop, user& who)
    : transport{who}, socket_{loop.get_executor()} {}

void plain_transport::open(const tcp::endpoint& address) {
    const auto self = std::static_pointer_cast<plain_transport>(shared_from_this());
    socket_.async_connect(address, [self](const error_code& failure) {
        if (self->user_ == nullptr) return;
        if (failure)
            return self->user_->on_broken({engine::outcome_class::transient, cause_of(failure)});
        error_code ignored;
        self->socket_.set_option(tcp::no_delay{true}, ignored);
        self->socket_.non_blocking(true, ignored);
        self->user_->on_open();
    });
}

void plain_transport::write(std::string_view head, std::string_view body) {
    head_left_ = head;
    body_left_ = body;
    write_on();
}

void plain_transport::write_on() {
    write_state_ = writing::under_way;
    while (!head_left_.empty() || !body_left_.empty()) {
        const std::array<boost::asio::const_buffer, 2> parts{
            boost::asio::buffer(head_left_.data(), head_left_.size()),
            boost::asio::buffer(body_left_.data(), body_left_.size())};
        error_code failure;
        const std::size_t sent = socket_.write_some(parts, failure);
        if (failure == boost::asio::error::would_block) break;
        if (failure) {
            write_state_ = writing::failed;
            socket_.shutdown(tcp::socket::shutdown_both, failure);
            return;
        }
        const std::size_t of_head = std::min(sent, head_left_.size());
        head_left_.remove_prefix(of_head);
        body_left_.remove_prefix(sent - of_head);
    }
    if (head_left_.empty() && body_left_.empty()) {
        write_state_ = writing::done;
        return;
    }
    const auto self = std::static_pointer_cast<plain_transport>(shared_from_this());
    socket_.async_wait(tcp::socket::wait_write, [self](const error_code&) {
        // After an error of the wait the next write tells what it is.
        if (self->user_ == nullptr) return;
        self->write_on();
        if (self->write_state_ != writing::under_way) self->user_->on_written();
    });
}

void plain_transport::read() {
    const auto self = std::static_pointer_cast<plain_transport>(shared_from_this());
    socket_.async_read_some(room(), [self](const error_code& failure, std::size_t size) {
        if (self->user_ == nullptr) return;
        if (failure)
            return self->user_->on_broken({engine::outcome_class::transient, cause_of(failure)});
        self->grow(size);
        self->user_->on_input();
    });
}

bool plain_transport::readable() {
    return has_input(socket_);
}

bool plain_transport::has_more() {
    return !room_was_left_ && has_input(socket_);
}

void plain_transport::close() noexcept {
    user_ = nullptr;
    head_left_ = body_left_ = {};
    error_code ignored;
    socket_.close(ignored);
}

bool has_input(tcp_socket& socket) {
    char byte = 0;
    const ssize_t size = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return size >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace walrelay::sink::http
