// The Kafka sink.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/sink/sink.hpp"

namespace walrelay::sink {

/// A producer for the brokers of `entry`. `name` is the sink's name in the sink map, for texts;
/// `index` is given back to `events`, which outlives the sink, and so does `loop`. Fails on what
/// can be seen without the network: an unknown property, a value that librdkafka refuses, a
/// certificate that can't be read. A broker that can't be reached is a notice, once a record waits
/// for it.
///
/// librdkafka reads a body_in_frame body where it lies: it must stay until the outcome of its
/// attempt was told, or until the sink's destructor has returned. The destructor tells no outcomes;
/// it takes some milliseconds, or as long as a name look-up that is under way.
[[nodiscard]] result<std::unique_ptr<sink>> make_kafka(boost::asio::io_context& loop,
                                                       const config::kafka_sink& entry,
                                                       const std::string& name, std::size_t index,
                                                       const config::limits& limits,
                                                       listener& events);

}  // namespace walrelay::sink
