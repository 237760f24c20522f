// Opens an HTTP sink.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/sink/sink.hpp"

namespace walrelay::sink {

/// Connects to nothing yet. Fails on a URL, header, signing secret or TLS file that can't be used;
/// the error's object is the option, as in `sinks.workers.http.tls.ca`.
[[nodiscard]] result<std::unique_ptr<sink>> make_http(boost::asio::io_context& loop,
                                                      const config::http_sink& options,
                                                      const std::string& name, std::size_t index,
                                                      const config::limits& limits,
                                                      listener& events);

}  // namespace walrelay::sink
