// What an error code of Kafka or librdkafka says about a record.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "walrelay/engine/outcome.hpp"

namespace walrelay::sink::kafka {

/// Every code has a class; one that isn't known here is `unknown`, which stalls and shouts. An
/// error that a broker gives to a batch is `batch`: it blames a record only if that was sent alone.
[[nodiscard]] engine::outcome_class class_of(rd_kafka_resp_err_t code) noexcept;

/// The outcome of a record for `topic` that ended with `code`. The reason names the topic and the
/// code.
[[nodiscard]] engine::outcome classify(rd_kafka_resp_err_t code, std::string_view topic);

/// "Broker: Not enough in-sync replicas (NOT_ENOUGH_REPLICAS)".
[[nodiscard]] std::string error_text(rd_kafka_resp_err_t code);

/// librdkafka's text about a broker without its tail "(after 5ms in state CONNECT, 1 identical
/// error(s))": the same trouble is to be the same text. Printable, `longest` bytes at most.
[[nodiscard]] std::string broker_text(std::string_view text, std::size_t longest);

}  // namespace walrelay::sink::kafka
