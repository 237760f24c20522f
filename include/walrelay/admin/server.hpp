// The admin endpoint: /healthz, /readyz, /status and /metrics.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "walrelay/admin/snapshot.hpp"
#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"

namespace walrelay::admin {

/// Serves GET only, on the loop's thread. A slow or hostile client can't hold up the loop: at most
/// 32 connections, 8 KiB of header, 5 s a request. Closes its sockets when destroyed.
class server {
public:
    /// Binds and listens at once; fails when the address is bad or taken.
    [[nodiscard]] static result<std::unique_ptr<server>> open(boost::asio::io_context& loop,
                                                              const config::admin& options,
                                                              snapshot_source source);
    virtual ~server() = default;

    /// The port that was taken, for `listen: 127.0.0.1:0`.
    [[nodiscard]] virtual std::uint16_t port() const noexcept = 0;

    /// Of requests from now on; empty: none is needed.
    virtual void set_token(std::string token) = 0;
};

/// The body of GET /status.
std::string to_json(const snapshot& state);

/// The body of GET /metrics, Prometheus text format.
std::string to_metrics(const snapshot& state);

}  // namespace walrelay::admin
