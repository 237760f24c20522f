#include "transport.hpp"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <cstring>

namespace walrelay::sink::http {

namespace {

/// Most answers fit; the buffer grows to what the largest head needs and no further.
constexpr std::size_t first_room_bytes = 4 * 1024;
constexpr std::size_t largest_room_bytes = 64 * 1024;

}  // namespace

void transport::consume(std::size_t size) noexcept {
    filled_ -= size;
    if (filled_ != 0) std::memmove(input_.data(), input_.data() + size, filled_);
}

boost::asio::mutable_buffer transport::room() {
    if (filled_ == input_.size()) {
        input_.resize(std::clamp(input_.size() * 2, first_room_bytes, largest_room_bytes));
    }
    return {input_.data() + filled_, input_.size() - filled_};
}

void transport::grow(std::size_t size) noexcept {
    filled_ += size;
    room_was_left_ = filled_ < input_.size();
}

bool transport::full() const noexcept {
    return filled_ == largest_room_bytes;
}

std::string cause_of(const boost::system::error_code& failure) {
    return failure == boost::asio::error::eof ? "connection closed by the server"
                                              : failure.message();
}

}  // namespace walrelay::sink::http
