// An HTTP server that does what a test tells it, byte by byte.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace walrelay::test {

/// The server's end of one connection. Blocks, with a deadline on every read; used by its own
/// thread only.
class peer {
public:
    peer(int socket, int number, SSL* tls) : socket_{socket}, number_{number}, tls_{tls} {}

    /// 0 for the first connection that the server took.
    [[nodiscard]] int number() const { return number_; }

    /// Head and body of the next request as they came; empty at the end of the connection.
    std::string request();
    /// Up to the empty line.
    std::string request_head();
    /// False once the client is gone.
    bool send(std::string_view bytes);
    /// True when the client closes the connection before `limit` is over. Takes what comes until
    /// then.
    bool waits_for_close(std::chrono::milliseconds limit = std::chrono::seconds{10});
    /// The client gets a reset at the end of the connection, and what it sent is lost.
    void reset_at_end();

    [[nodiscard]] int socket() const { return socket_; }

private:
    bool receive();

    int socket_;
    int number_;
    SSL* tls_;
    std::string held_;
};

/// Listens on a free port of 127.0.0.1; each connection gets a thread that runs `script` and then
/// closes it.
class http_server {
public:
    using script = std::function<void(peer&)>;

    explicit http_server(script each, SSL_CTX* tls = nullptr);
    /// Cuts all connections and waits for their scripts.
    ~http_server();
    http_server(const http_server&) = delete;
    http_server& operator=(const http_server&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }

    /// "http://127.0.0.1:port" or https.
    [[nodiscard]] std::string url() const;

    [[nodiscard]] int connections() const { return taken_; }

    /// The most that were open at the same time.
    [[nodiscard]] int most_open() const { return most_open_; }

private:
    void accept_all();
    void serve(int socket, int number);

    const script script_;
    SSL_CTX* const tls_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<int> taken_ = 0;
    std::atomic<int> open_ = 0;
    std::atomic<int> most_open_ = 0;
    std::mutex mutex_;
    bool stopping_ = false;
    std::vector<int> sockets_;
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

/// A script: every request gets `answer`.
[[nodiscard]] http_server::script always(std::string answer);

inline const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A port of 127.0.0.1 that nobody listens on.
[[nodiscard]] std::uint16_t closed_port();

}  // namespace walrelay::test
