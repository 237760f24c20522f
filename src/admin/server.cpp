#include "walrelay/admin/server.hpp"

#include <charconv>
#include <chrono>
#include <optional>

#include <openssl/crypto.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "walrelay/core/escape.hpp"

namespace walrelay::admin {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

namespace {

constexpr std::uint32_t header_limit_bytes = 8 * 1024;
constexpr std::size_t connections_max = 32;
constexpr std::chrono::seconds request_deadline{5};

using answer = http::response<http::string_body>;

/// Takes the same time whatever the first difference is.
bool same_secret(std::string_view given, std::string_view secret) {
    return given.size() == secret.size() &&
           CRYPTO_memcmp(given.data(), secret.data(), secret.size()) == 0;
}

struct shared_state {
    snapshot_source source;
    std::string token;
    std::size_t connections = 0;
    bool closed = false;  ///< the server object is gone: answer nothing any more
};

answer make_answer(http::status status, const char* type, std::string body) {
    answer made{status, 11};
    made.set(http::field::content_type, type);
    made.set(http::field::cache_control, "no-store");
    made.body() = std::move(body);
    return made;
}

answer readiness(const snapshot& state) {
    if (state.ready) return make_answer(http::status::ok, "text/plain; charset=utf-8", "ready\n");
    std::string body = "not ready\n";
    for (const std::string& reason : state.not_ready_because)
        body += reason + "\n";
    return make_answer(http::status::service_unavailable, "text/plain; charset=utf-8",
                       std::move(body));
}

answer answer_to(const shared_state& shared, const http::request<http::empty_body>& request) {
    constexpr const char* text = "text/plain; charset=utf-8";
    const std::string_view target{request.target().data(), request.target().size()};
    const std::string_view path = target.substr(0, target.find('?'));
    if (!shared.token.empty() &&
        path != "/healthz") {  // which says nothing but that the process lives
        const auto given = request[http::field::authorization];
        const std::string expected = "Bearer " + shared.token;
        if (!same_secret({given.data(), given.size()}, expected)) {
            answer refused = make_answer(http::status::unauthorized, text,
                                         "a bearer token is required (admin.token)\n");
            refused.set(http::field::www_authenticate, "Bearer");
            return refused;
        }
    }
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        return make_answer(http::status::method_not_allowed, text, "only GET\n");
    }
    if (path == "/healthz") return make_answer(http::status::ok, text, "alive\n");
    if (path == "/readyz") return readiness(shared.source());
    if (path == "/status")
        return make_answer(http::status::ok, "application/json", to_json(shared.source()));
    if (path == "/metrics") {
        return make_answer(http::status::ok, "text/plain; version=0.0.4; charset=utf-8",
                           to_metrics(shared.source()));
    }
    return make_answer(http::status::not_found, text,
                       "there are /healthz, /readyz, /status and /metrics\n");
}

/// One client. Keeps itself alive by the handlers that it waits for; every wait has a deadline.
class client : public std::enable_shared_from_this<client> {
public:
    client(tcp::socket socket, std::shared_ptr<shared_state> shared)
        : stream_{std::move(socket)}, shared_{std::move(shared)} {
        ++shared_->connections;
    }

    ~client() { --shared_->connections; }

    client(const client&) = delete;
    client& operator=(const client&) = delete;

    void read() {
        parser_.emplace();
        parser_->header_limit(header_limit_bytes);
        parser_->body_limit(std::uint64_t{0});
        stream_.expires_after(request_deadline);
        http::async_read(stream_, buffer_, *parser_,
                         [self = shared_from_this()](beast::error_code failure, std::size_t) {
                             if (!failure && !self->shared_->closed) self->write();
                         });
    }

private:
    void write() {
        const auto& request = parser_->get();
        answer_.emplace(answer_to(*shared_, request));
        answer_->keep_alive(request.keep_alive());
        answer_->prepare_payload();
        if (request.method() == http::verb::head) answer_->body().clear();
        stream_.expires_after(request_deadline);
        http::async_write(stream_, *answer_,
                          [self = shared_from_this()](beast::error_code failure, std::size_t) {
                              if (!failure && self->answer_->keep_alive() && !self->shared_->closed)
                                  self->read();
                          });
    }

    beast::tcp_stream stream_;
    std::shared_ptr<shared_state> shared_;
    beast::flat_buffer buffer_{header_limit_bytes * 2};
    std::optional<http::request_parser<http::empty_body>> parser_;
    std::optional<answer> answer_;
};

class tcp_server final : public server {
public:
    tcp_server(asio::io_context& loop, snapshot_source source, std::string token)
        : acceptor_{loop}, pause_{loop}, shared_{std::make_shared<shared_state>()} {
        shared_->source = std::move(source);
        shared_->token = std::move(token);
    }

    ~tcp_server() override { shared_->closed = true; }

    tcp_server(const tcp_server&) = delete;
    tcp_server& operator=(const tcp_server&) = delete;

    [[nodiscard]] boost::system::error_code listen(const tcp::endpoint& where) {
        boost::system::error_code failure;
        acceptor_.open(where.protocol(), failure);
        if (!failure) acceptor_.set_option(asio::socket_base::reuse_address{true}, failure);
        if (!failure) acceptor_.bind(where, failure);
        if (!failure) acceptor_.listen(asio::socket_base::max_listen_connections, failure);
        if (!failure) accept();
        return failure;
    }

    [[nodiscard]] std::uint16_t port() const noexcept override {
        boost::system::error_code failure;
        return acceptor_.local_endpoint(failure).port();
    }

    void set_token(std::string token) override { shared_->token = std::move(token); }

private:
    void accept() {
        acceptor_.async_accept(
            [this, shared = shared_](boost::system::error_code failure, tcp::socket socket) {
                if (shared->closed || failure == asio::error::operation_aborted) return;
                if (!failure && shared->connections < connections_max) {
                    std::make_shared<client>(std::move(socket), shared)->read();
                }
                if (!failure) return accept();
                // Out of descriptors, most likely: asking again at once would only spin.
                pause_.expires_after(std::chrono::milliseconds{100});
                pause_.async_wait([this, shared](boost::system::error_code cancelled) {
                    if (!cancelled && !shared->closed) accept();
                });
            });
    }

    tcp::acceptor acceptor_;
    asio::steady_timer pause_;
    std::shared_ptr<shared_state> shared_;
};

result<tcp::endpoint> parse_address(asio::io_context& loop, const std::string& listen) {
    const error bad{"listen for admin on", printable(listen), "expected host:port",
                    "set admin.listen"};
    const auto colon = listen.rfind(':');
    if (colon == std::string::npos) return bad;
    std::string host = listen.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    const std::string port_text = listen.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, failure] =
        std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    if (failure != std::errc{} || end != port_text.data() + port_text.size()) return bad;
    boost::system::error_code unresolved;
    tcp::resolver resolver{loop};
    const auto found = resolver.resolve(host, "", tcp::resolver::passive, unresolved);
    if (unresolved || found.empty()) {
        return error{"listen for admin on", printable(listen), unresolved.message(),
                     "set admin.listen"};
    }
    return tcp::endpoint{found.begin()->endpoint().address(), port};
}

}  // namespace

result<std::unique_ptr<server>> server::open(asio::io_context& loop, const config::admin& options,
                                             snapshot_source source) {
    const auto where = parse_address(loop, options.listen);
    if (!where) return where.error();
    auto made = std::make_unique<tcp_server>(loop, std::move(source), options.token);
    if (const auto failure = made->listen(*where)) {
        return error{"listen for admin on", printable(options.listen), failure.message(),
                     "set admin.listen to a free address, or to off"};
    }
    return std::unique_ptr<server>{std::move(made)};
}

}  // namespace walrelay::admin
