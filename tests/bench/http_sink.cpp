// An HTTP/1.1 endpoint that answers 200 as fast as it can, and notes when each key came.
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arrivals.hpp"

namespace {

constexpr std::string_view answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

[[noreturn]] void fail(const char* operation) {
    throw std::system_error(errno, std::generic_category(), operation);
}

/// The value of a header; `head` is the request line and all headers, each line with its CRLF.
std::string_view header(std::string_view head, std::string_view name) {
    for (std::size_t end = head.find("\r\n"); end != std::string_view::npos;) {
        head.remove_prefix(end + 2);
        end = head.find("\r\n");
        const std::string_view line = head.substr(0, end);
        if (line.size() > name.size() && line[name.size()] == ':' &&
            strncasecmp(line.data(), name.data(), name.size()) == 0) {
            const std::size_t start = line.find_first_not_of(' ', name.size() + 1);
            return start == std::string_view::npos ? "" : line.substr(start);
        }
    }
    return {};
}

class endpoint {
public:
    endpoint()
        : listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), epoll_(epoll_create1(0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the socket API's own idiom
        auto* name = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof address;
        if (listener_ < 0 || epoll_ < 0 || bind(listener_, name, size) != 0 ||
            listen(listener_, 512) != 0 || getsockname(listener_, name, &size) != 0) {
            fail("listen");
        }
        port_ = ntohs(address.sin_port);
        watch(listener_);
    }

    endpoint(const endpoint&) = delete;
    endpoint& operator=(const endpoint&) = delete;

    ~endpoint() {
        for (const auto& [socket, buffer] : buffers_)
            close(socket);
        close(listener_);
        close(epoll_);
    }

    [[nodiscard]] int port() const noexcept { return port_; }

    void serve(walrelay::bench::arrivals* noted) {
        epoll_event events[64];
        while (!walrelay::bench::stop_requested()) {
            const int count = epoll_wait(epoll_, events, 64, 1000);
            for (int i = 0; i < count; ++i) {
                if (events[i].data.fd == listener_) {
                    accept_all();
                } else {
                    read_from(events[i].data.fd, noted);
                }
            }
        }
    }

private:
    void watch(int socket) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = socket;
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) fail("epoll_ctl");
    }

    void accept_all() {
        for (;;) {
            const int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
            if (client < 0) return;
            const int on = 1;
            setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            watch(client);
            buffers_[client];
        }
    }

    void read_from(int client, walrelay::bench::arrivals* noted) {
        char bytes[65536];
        const ssize_t size = read(client, bytes, sizeof bytes);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (size <= 0) {
            buffers_.erase(client);
            close(client);
            return;
        }
        std::string& buffer = buffers_[client];
        buffer.append(bytes, static_cast<std::size_t>(size));
        while (take_request(buffer, noted)) {
            if (write(client, answer.data(), answer.size()) < 0 && errno != EPIPE &&
                errno != ECONNRESET) {
                fail("write");
            }
        }
    }

    /// Removes one whole request from the front of the buffer.
    static bool take_request(std::string& buffer, walrelay::bench::arrivals* noted) {
        const std::size_t end = buffer.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const std::string_view head = std::string_view(buffer).substr(0, end + 2);
        const std::string_view length = header(head, "content-length");
        std::size_t body = 0;
        std::from_chars(length.data(), length.data() + length.size(), body);
        if (buffer.size() < end + 4 + body) return false;
        if (noted != nullptr) noted->note(header(head, "x-walrelay-key"));
        buffer.erase(0, end + 4 + body);
        return true;
    }

    int listener_;
    int epoll_;
    int port_ = 0;
    std::unordered_map<int, std::string> buffers_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2) {
        std::cerr
            << "usage: bench_http_sink [FILE]\n"
               "prints its port; notes x-walrelay-key and time of each request until SIGTERM\n";
        return 2;
    }
    try {
        walrelay::bench::catch_stop_signals();
        walrelay::bench::arrivals noted;
        endpoint server;
        std::cout << server.port() << std::endl;
        server.serve(argc == 2 ? &noted : nullptr);
        if (argc == 2) noted.write(argv[1]);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "bench_http_sink: " << error.what() << '\n';
        return 1;
    }
}
