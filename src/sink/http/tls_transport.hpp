// HTTPS.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "transport.hpp"

namespace walrelay::sink::http {

/// A transport that lets nobody but `host` in: chain and name (or address) are verified before the
/// first byte of a request. Keeps a copy of what it sends until TLS is done with it.
[[nodiscard]] std::shared_ptr<transport> make_tls_transport(boost::asio::io_context& loop,
                                                            boost::asio::ssl::context& settings,
                                                            const std::string& host,
                                                            transport::user& who);

}  // namespace walrelay::sink::http
