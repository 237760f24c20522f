#include "http_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace walrelay::test {

namespace {

constexpr timeval limit_receive{20, 0};

int bound_socket(std::uint16_t& port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (socket < 0 || ::bind(socket, generic, size) != 0 ||
        ::getsockname(socket, generic, &size) != 0) {
        throw std::runtime_error("no free port on 127.0.0.1");
    }
    port = ntohs(address.sin_port);
    return socket;
}

}  // namespace

bool peer::receive() {
    std::array<char, 65536> bytes;
    const auto size = tls_ != nullptr
                          ? static_cast<ssize_t>(SSL_read(tls_, bytes.data(), bytes.size()))
                          : ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (size <= 0) return false;
    held_.append(bytes.data(), static_cast<std::size_t>(size));
    return true;
}

std::string peer::request_head() {
    std::size_t end = std::string::npos;
    while ((end = held_.find("\r\n\r\n")) == std::string::npos) {
        if (!receive()) return {};
    }
    std::string head = held_.substr(0, end + 4);
    held_.erase(0, end + 4);
    return head;
}

std::string peer::request() {
    std::string all = request_head();
    const std::string name = "\r\nContent-Length: ";
    const std::size_t at = all.find(name);
    if (at == std::string::npos) return all;
    const auto length = static_cast<std::size_t>(std::atoll(all.c_str() + at + name.size()));
    while (held_.size() < length) {
        if (!receive()) return {};
    }
    all += held_.substr(0, length);
    held_.erase(0, length);
    return all;
}

bool peer::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto size = tls_ != nullptr
                              ? static_cast<ssize_t>(
                                    SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size())))
                              : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (size <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

bool peer::waits_for_close(std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd client{socket_, POLLIN, 0};
        if (::poll(&client, 1, std::max(0, static_cast<int>(left.count()))) <= 0) return false;
        if (!receive()) return true;
    }
}

void peer::reset_at_end() {
    const linger at_once{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

http_server::http_server(script each, SSL_CTX* tls) : script_{std::move(each)}, tls_{tls} {
    listener_ = bound_socket(port_);
    if (::listen(listener_, 128) != 0) throw std::runtime_error("listen");
    acceptor_ = std::thread{[this] { accept_all(); }};
}

http_server::~http_server() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
        for (const int socket : sockets_)
            ::shutdown(socket, SHUT_RDWR);
    }
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (auto& thread : threads_)
        thread.join();
    ::close(listener_);
}

std::string http_server::url() const {
    return (tls_ != nullptr ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_);
}

void http_server::accept_all() {
    for (;;) {
        const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (socket < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        const std::lock_guard lock{mutex_};
        if (socket < 0) return;
        if (stopping_) {
            ::close(socket);
            return;
        }
        ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit_receive, sizeof limit_receive);
        sockets_.push_back(socket);
        const int number = taken_++;
        most_open_ = std::max<int>(most_open_, ++open_);
        threads_.emplace_back([this, socket, number] { serve(socket, number); });
    }
}

void http_server::serve(int socket, int number) {
    SSL* const tls = tls_ != nullptr ? SSL_new(tls_) : nullptr;
    if (tls != nullptr) SSL_set_fd(tls, socket);
    if (tls == nullptr || SSL_accept(tls) == 1) {
        peer client{socket, number, tls};
        script_(client);
    }
    SSL_free(tls);
    --open_;
    const std::lock_guard lock{mutex_};
    std::erase(sockets_, socket);
    ::close(socket);
}

http_server::script always(std::string answer) {
    return [answer = std::move(answer)](peer& client) {
        while (!client.request().empty() && client.send(answer)) {
        }
    };
}

std::uint16_t closed_port() {
    std::uint16_t port = 0;
    ::close(bound_socket(port));
    return port;
}

}  // namespace walrelay::test
