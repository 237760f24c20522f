// What the TLS connections of one sink share.
#pragma once

#include <boost/asio/ssl/context.hpp>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"

namespace walrelay::sink::http {

/// TLS 1.2 or later, the server's chain is verified against `files.ca`, or the system's authorities
/// where none is given. Reads the files; the error names the option, the file and what is wrong.
[[nodiscard]] result<boost::asio::ssl::context> make_tls_settings(const config::tls_files& files);

}  // namespace walrelay::sink::http
