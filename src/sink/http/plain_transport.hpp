// HTTP without TLS.
#pragma once

#include "transport.hpp"

namespace walrelay::sink::http {

/// Writes at once, in the call, as far as the socket takes it: most requests leave in one system
/// call, without a turn of the loop, and without a copy of the body.
class plain_transport final : public transport {
public:
    plain_transport(boost::asio::io_context& loop, user& who);

    void open(const tcp::endpoint& address) override;
    void write(std::string_view head, std::string_view body) override;
    void read() override;
    [[nodiscard]] bool readable() override;
    [[nodiscard]] bool has_more() override;
    void close() noexcept override;

private:
    void write_on();

    tcp_socket socket_;
    std::string_view head_left_;
    std::string_view body_left_;
};

/// Bytes or the end are waiting in `socket`; takes nothing out of it.
[[nodiscard]] bool has_input(tcp_socket& socket);

}  // namespace walrelay::sink::http
