#include "running_relay.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <iterator>

namespace walrelay::cli {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::chrono::seconds admin_timeout{3};

struct host_and_port {
    std::string host;
    std::string port;
};

host_and_port split(const std::string& listen) {
    const auto colon = listen.rfind(':');
    host_and_port parts{listen.substr(0, colon), listen.substr(colon + 1)};
    if (parts.host.size() > 2 && parts.host.front() == '[' && parts.host.back() == ']')
        parts.host = parts.host.substr(1, parts.host.size() - 2);
    return parts;
}

}  // namespace

std::optional<std::string> ask_relay(const config::admin& admin) {
    if (admin.listen.empty()) return std::nullopt;
    auto [host, port] = split(admin.listen);
    if (host == "0.0.0.0" || host == "::") host = "127.0.0.1";
    tcp::iostream stream;
    stream.expires_after(admin_timeout);
    stream.connect(host, port);
    if (!stream) return std::nullopt;
    // HTTP/1.0 ends the answer with the connection.
    stream << "GET /status HTTP/1.0\r\nHost: " << host << "\r\n";
    if (!admin.token.empty()) stream << "Authorization: Bearer " << admin.token << "\r\n";
    stream << "\r\n" << std::flush;
    const std::string answer{std::istreambuf_iterator<char>{stream}, {}};
    const auto body = answer.find("\r\n\r\n");
    if (body == std::string::npos || answer.find(" 200 ") > answer.find("\r\n"))
        return std::nullopt;
    return answer.substr(body + 4);
}

std::string bind_fault(const config::admin& admin) {
    if (admin.listen.empty()) return {};
    const auto [host, port] = split(admin.listen);
    asio::io_context loop{1};
    boost::system::error_code failure;
    tcp::resolver resolver{loop};
    const auto found = resolver.resolve(host, port, tcp::resolver::passive, failure);
    if (failure || found.empty()) return failure.message();
    const tcp::endpoint address = found.begin()->endpoint();
    tcp::acceptor acceptor{loop};
    acceptor.open(address.protocol(), failure);
    if (!failure) acceptor.set_option(tcp::acceptor::reuse_address{true}, failure);
    if (!failure) acceptor.bind(address, failure);
    if (!failure) acceptor.listen(1, failure);
    return failure ? failure.message() : std::string{};
}

}  // namespace walrelay::cli
