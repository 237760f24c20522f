// What brokers and endpoints answered, as findings. Pure.
#pragma once

#include <string>
#include <vector>

#include "finding.hpp"
#include "walrelay/config/model.hpp"
#include "walrelay/sink/inspection.hpp"

namespace walrelay::cli {

/// Where the records of a Kafka sink go, as far as the sink map tells.
struct topic_list {
    std::vector<std::string> constant;   ///< each once, in the order of the routes
    std::vector<std::string> templates;  ///< "{topic}"; only rows tell what comes of them
};

[[nodiscard]] topic_list topics_of(const config::model& model, std::size_t sink);

/// `sink` has the kind of its facts.
[[nodiscard]] std::vector<finding> judge_kafka(const sink::kafka_facts& found,
                                               const config::model& model, std::size_t sink);
[[nodiscard]] std::vector<finding> judge_http(const sink::http_facts& found,
                                              const config::model& model, std::size_t sink);

}  // namespace walrelay::cli
