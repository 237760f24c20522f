#include "settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace walrelay::sink::kafka {

namespace {

/// Key, headers and the framing of a record beside its row.
constexpr std::uint64_t record_overhead_bytes = 128 * 1024;
/// librdkafka's own ceilings.
constexpr std::uint64_t largest_message_max_bytes = 1'000'000'000;
constexpr std::uint64_t largest_queue_kbytes = std::numeric_limits<std::int32_t>::max();
constexpr std::uint64_t largest_queue_messages = 10'000'000;

using property = std::pair<std::string_view, std::string>;

std::vector<property> defaults(const config::limits& limits) {
    const std::uint64_t message_bytes =
        std::min(limits.event_bytes + record_overhead_bytes, largest_message_max_bytes);
    // Twice the relay's window: records that were given up may still lie in librdkafka.
    const std::uint64_t queue_messages =
        std::clamp<std::uint64_t>(2 * limits.in_flight_events, 1'000, largest_queue_messages);
    const std::uint64_t queue_kbytes = std::clamp<std::uint64_t>(
        2 * std::max(limits.in_flight_bytes, message_bytes) / 1024, 1'024, largest_queue_kbytes);
    return {
        {"client.id", "walrelay"},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"max.in.flight.requests.per.connection", "5"},
        {"retries", "2147483647"},
        // The relay decides when to give up: a record that timed out here would let its successors
        // by.
        {"message.timeout.ms", "0"},
        // What Java's producer does with a key. librdkafka's own default places keys elsewhere.
        {"partitioner", "murmur2_random"},
        {"linger.ms", "5"},
        {"message.max.bytes", std::to_string(message_bytes)},
        {"queue.buffering.max.messages", std::to_string(queue_messages)},
        {"queue.buffering.max.kbytes", std::to_string(queue_kbytes)},
        {"socket.keepalive.enable", "true"},
        {"reconnect.backoff.ms", "100"},
        {"reconnect.backoff.max.ms", "2000"},
        // A topic that isn't there is told after 5 s, not after 30 s.
        {"topic.metadata.propagation.max.ms", "5000"},
        {"delivery.report.only.error", "false"},
        // To the queue: librdkafka would write on stderr, between the log's lines. As far as
        // notices: one tells that a topic got more partitions.
        {"log_level", "5"},
        {"log.queue", "true"},
    };
}

bool may_be_secret(std::string_view property_name) {
    constexpr std::array marks{"password", "secret", "username", "oauth",      "jaas",
                               "token",    "key",    "pem",      "certificate"};
    return std::any_of(marks.begin(), marks.end(), [&](const char* mark) {
        return property_name.find(mark) != std::string_view::npos;
    });
}

/// librdkafka's text, which may quote the value, without it.
std::string refusal_text(rd_kafka_conf_res_t answer, const std::string& property_name,
                         const std::string& value, std::string text) {
    if (answer == RD_KAFKA_CONF_UNKNOWN) return text;
    if (may_be_secret(property_name)) return "librdkafka does not take this value";
    for (auto at = text.find(value); !value.empty() && at != std::string::npos;
         at = text.find(value, at)) {
        text.replace(at, value.size(), "...");
        at += 3;
    }
    return text;
}

result<void> set(rd_kafka_conf_t* conf, const std::string& sink_name,
                 const std::string& property_name, const std::string& value) {
    std::array<char, 512> text{};
    const auto answer =
        rd_kafka_conf_set(conf, property_name.c_str(), value.c_str(), text.data(), text.size());
    if (answer == RD_KAFKA_CONF_OK) return {};
    return error{"set up the Kafka sink", "\"" + sink_name + "\"",
                 property_name + ": " + refusal_text(answer, property_name, value, text.data()),
                 "correct sinks." + sink_name + ".kafka.properties." + property_name};
}

std::string effective(const rd_kafka_conf_t* conf, const char* property_name) {
    std::array<char, 64> value{};
    std::size_t size = value.size();
    if (rd_kafka_conf_get(conf, property_name, value.data(), &size) != RD_KAFKA_CONF_OK) return {};
    return value.data();
}

std::size_t effective_number(const rd_kafka_conf_t* conf, const char* property_name) {
    const std::string text = effective(conf, property_name);
    std::size_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

}  // namespace

result<settings> make_settings(const config::kafka_sink& entry, const std::string& name,
                               const config::limits& limits) {
    settings made;
    made.conf.reset(rd_kafka_conf_new());
    for (const auto& [property_name, value] : defaults(limits)) {
        if (auto done = set(made.conf.get(), name, std::string(property_name), value); !done)
            return done.error();
    }
    for (const auto& [property_name, value] : entry.properties) {
        if (auto done = set(made.conf.get(), name, property_name, value); !done)
            return done.error();
    }
    if (auto done = set(made.conf.get(), name, "bootstrap.servers", entry.brokers); !done)
        return done.error();

    rd_kafka_conf_set_events(made.conf.get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR |
                                                  RD_KAFKA_EVENT_LOG |
                                                  RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT);
    made.message_max_bytes = effective_number(made.conf.get(), "message.max.bytes");
    made.queue_max_bytes = effective_number(made.conf.get(), "queue.buffering.max.kbytes") * 1024;
    made.batch_bytes = effective_number(made.conf.get(), "batch.size");
    made.linger =
        std::chrono::milliseconds{effective_number(made.conf.get(), "queue.buffering.max.ms")};
    return made;
}

}  // namespace walrelay::sink::kafka
