// A sink for each entry of the sink map.
#pragma once

#include <cstddef>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/sink/sink.hpp"

namespace walrelay::sink {

/// `index` is given back to `events`, which outlives the sink. Fails on what can be seen without
/// the network: an unknown librdkafka property, a certificate that can't be read.
[[nodiscard]] result<std::unique_ptr<sink>> make(boost::asio::io_context& loop,
                                                 const config::sink& entry, std::size_t index,
                                                 const config::limits& limits, listener& events);

}  // namespace walrelay::sink
