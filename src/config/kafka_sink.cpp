#include <algorithm>
#include <array>

#include "address.hpp"
#include "quantity.hpp"
#include "sections.hpp"

namespace walrelay::config {

namespace {

/// A librdkafka property that the relay's promises rest on (CONFIGURATION.md of librdkafka).
struct guarded_property {
    std::string_view name;
    std::array<std::string_view, 2> allowed;  ///< both empty: none
    std::string_view why;
};

constexpr std::string_view why_acks = "fewer acknowledgements lose records when a broker dies";
constexpr std::string_view why_timeout =
    "the relay decides how long a record is tried; one that is given up earlier would be overtaken "
    "by its successors";
constexpr std::string_view why_brokers = "use brokers instead";
constexpr std::string_view why_internal = "it is the relay's own, or can't be given as text";

constexpr std::array<guarded_property, 15> guarded{{
    {"acks", {"all", "-1"}, why_acks},
    {"request.required.acks", {"all", "-1"}, why_acks},
    {"enable.idempotence", {"true", ""}, "without it a retry can repeat and reorder records"},
    {"message.timeout.ms", {"0", ""}, why_timeout},
    {"delivery.timeout.ms", {"0", ""}, why_timeout},
    {"retries", {"2147483647", ""}, why_timeout},
    {"message.send.max.retries", {"2147483647", ""}, why_timeout},
    {"delivery.report.only.error", {}, "the relay needs a report for every record"},
    {"transactional.id", {}, "exactly-once delivery is not available yet"},
    {"enable.gapless.guarantee",
     {},
     "its fatal error would stop the sink where the relay can retry"},
    {"log.queue", {}, why_internal},
    {"opaque", {}, why_internal},
    {"bootstrap.servers", {}, why_brokers},
    {"metadata.broker.list", {}, why_brokers},
    {"queuing.strategy", {"fifo", ""}, "lifo reorders records"},
}};

/// Values are never shown: passwords are properties, too.
void check_property(const std::string& name, const place& at, const std::string& value) {
    for (const guarded_property& each : guarded) {
        if (name != each.name) continue;
        if (each.allowed[0].empty()) {
            return at.key_problem("this librdkafka property is refused: " + std::string{each.why});
        }
        if (value == each.allowed[0] || (!each.allowed[1].empty() && value == each.allowed[1]))
            return;
        return at.problem("expected " + std::string{each.allowed[0]} + ": " +
                          std::string{each.why});
    }
    if (name.starts_with("test.mock.") || name.ends_with("_cb")) {
        return at.key_problem("this librdkafka property is refused: " + std::string{why_internal});
    }
    if (name == "max.in.flight" || name == "max.in.flight.requests.per.connection") {
        const auto count = parse_whole_number(value);
        if (!count || *count < 1 || *count > 5) {
            at.problem(
                "expected a whole number from 1 to 5: with more, a retry can reorder records");
        }
    } else if (name == "partitioner" && value != "murmur2_random" && value != "murmur2") {
        at.warning(
            "keys go to other partitions than those of Java producers, and their order is only "
            "kept "
            "if the partitioner is consistent; the default is murmur2_random");
    }
}

void read_properties(const place& where, std::map<std::string, std::string>& out) {
    const auto entries = where.entries();
    if (!entries) return;
    for (const auto& [name, at] : *entries) {
        const auto value = at.text("a single value");
        if (!value) continue;
        if (name.empty()) at.key_problem("a property needs a name");
        check_property(name, at, value->text);
        out[name] = value->text;
    }
}

/// HOST[:PORT] or PROTOCOL://HOST[:PORT], separated by commas.
bool is_broker_list(std::string_view text) {
    while (true) {
        const std::size_t comma = text.find(',');
        std::string_view broker = text.substr(0, comma);
        broker.remove_prefix(std::min(broker.find_first_not_of(' '), broker.size()));
        broker = broker.substr(0, broker.find_last_not_of(' ') + 1);
        if (const auto scheme = broker.find("://"); scheme != std::string_view::npos) {
            broker.remove_prefix(scheme + 3);
        }
        if (const auto address = parse_host_port(broker); !address || address->port == 0)
            return false;
        if (comma == std::string_view::npos) return true;
        text.remove_prefix(comma + 1);
    }
}

}  // namespace

void read_kafka_sink(const place& where, kafka_sink& out) {
    const section keys{where, {"brokers", "delivery", "properties", "metadata"}};
    if (const place* const at = keys.require("brokers")) {
        if (auto text = at->text("a string HOST:PORT[,HOST:PORT…]")) {
            if (!is_broker_list(text->text)) {
                at->problem("expected HOST:PORT[,HOST:PORT…], got " + text->shown());
            }
            out.brokers = std::move(text->text);
        }
    }
    if (const place* const at = keys.find("delivery")) {
        static_cast<void>(at->choice({"at_least_once"}, {"exactly_once"}));
    }
    if (const place* const at = keys.find("properties")) read_properties(*at, out.properties);
    if (const place* const at = keys.find("metadata")) at->read(out.metadata);
}

}  // namespace walrelay::config
