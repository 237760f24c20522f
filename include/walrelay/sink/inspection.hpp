// A look at what sinks would talk to, without sending anything that could be taken for an event.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "walrelay/config/model.hpp"

namespace walrelay::sink {

/// What a broker says of one topic. What it doesn't tell stays empty.
struct topic_facts {
    enum class state : std::uint8_t { there, missing, forbidden, other };

    std::string name;
    state what = state::other;
    std::string fault;  ///< librdkafka's words; empty when there
    int partitions = 0;
    int without_leader = 0;    ///< partitions
    int fewest_replicas = 0;   ///< of a partition
    int fewest_in_sync = 0;    ///< of a partition
    std::string config_fault;  ///< why the configuration below is not known
    std::optional<std::uint64_t> max_message_bytes;
    std::optional<int> min_insync_replicas;
    std::optional<bool> unclean_leader_election;
    bool compacted = false;
};

struct kafka_facts {
    std::string settings_fault;  ///< librdkafka does not take the properties; nothing else then
    std::vector<std::string> faults;  ///< of connections, each once: name, port, TLS, SASL
    bool outdated_scram = false;      ///< logs in by SCRAM, in a way that Kafka 4 refuses
    bool answered = false;            ///< some broker gave its metadata
    int brokers = 0;
    std::optional<bool> auto_create_topics;
    std::uint64_t message_max_bytes = 0;  ///< librdkafka's, as the sink would have it
    std::vector<topic_facts> topics;      ///< in the order in which they were asked for
};

/// Metadata and configuration of the brokers and topics, by the properties of the sink. Creates no
/// topic. Blocks for `patience` at most, beside a name server that is silent: for a thread of its
/// own.
[[nodiscard]] kafka_facts inspect_kafka(const config::kafka_sink& entry, const std::string& name,
                                        const config::limits& limits,
                                        const std::vector<std::string>& topics,
                                        std::chrono::milliseconds patience);

struct http_facts {
    enum class step : std::uint8_t { settings, resolve, connect, handshake, done };
    enum class certificate_fault : std::uint8_t {
        none,
        other_name,
        unknown_authority,
        time,
        other
    };

    step failed_at = step::done;  ///< done: nothing failed
    std::string fault;
    certificate_fault refused = certificate_fault::none;
    std::string endpoint;  ///< "host:port"
    bool tls = false;
    /// Time left until the certificate ends, of the server and of our own; negative when it has.
    std::optional<std::chrono::seconds> server_certificate_left;
    std::optional<std::chrono::seconds> own_certificate_left;
};

/// Name, connection and TLS handshake with the host of the sink; no request is sent. Blocks for
/// `patience` at most, beside a name server that is silent: for a thread of its own.
[[nodiscard]] http_facts inspect_http(const config::http_sink& entry,
                                      std::chrono::milliseconds patience);

}  // namespace walrelay::sink
