// The sink map as plain values: what the reader makes of the YAML file, and all that the rest of
// walrelay knows of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace walrelay::config {

/// Where in the file something stands, 1-based; for errors that are found after reading.
struct position {
    std::string file;
    int line = 0;
    int column = 0;

    friend bool operator==(const position&, const position&) = default;
};

/// "file:line:column"
[[nodiscard]] inline std::string to_string(const position& at) {
    return at.file + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

/// `source:`
struct source {
    std::string conninfo;  ///< with secrets filled in: never log it
    std::string slot;
    std::vector<std::string> publications;
    bool progress = true;
    std::chrono::milliseconds give_up_after{0};  ///< without Postgres: then exit 7; 0: never
    std::chrono::milliseconds exit_delay{10'000};
};

/// `sinks: NAME: kafka:`
struct kafka_sink {
    std::string brokers;
    std::map<std::string, std::string> properties;  ///< librdkafka's, values may be secret
    bool metadata = false;  ///< send walrelay-lsn, -seq, -xid, -table, -epoch
};

/// A range of HTTP status codes, both ends included.
struct status_range {
    int first = 200;
    int last = 299;

    friend bool operator==(const status_range&, const status_range&) = default;
};

/// So many requests in so much time; 0: any number.
struct request_rate {
    std::uint64_t count = 0;
    std::chrono::seconds per{1};

    friend bool operator==(const request_rate&, const request_rate&) = default;
};

/// Client side of TLS; paths of PEM files, empty where not given.
struct tls_files {
    std::string ca;
    std::string certificate;
    std::string key;
};

/// `sinks: NAME: http:`
struct http_sink {
    std::string url;        ///< path and query may hold {column}; scheme, host and port may not
    std::string shown_url;  ///< with *** for the secrets of path and query; empty if they hold none
    std::vector<std::pair<std::string, std::string>> headers;  ///< values may be secret
    std::vector<std::string>
        signing;  ///< Standard Webhooks secrets, "whsec_" + base64; all of them sign
    std::chrono::milliseconds timeout{15'000};
    std::uint32_t connections = 32;
    request_rate rate;
    std::vector<status_range> success{{}};
    tls_files tls;
    bool metadata = false;
};

struct stdout_sink {};

struct discard_sink {};

struct sink {
    std::string name;
    std::variant<kafka_sink, http_sink, stdout_sink, discard_sink> kind;
    position at;
};

/// As the map writes it: kafka, http, stdout or discard.
[[nodiscard]] inline const char* kind_of(const sink& one) noexcept {
    constexpr const char* names[] = {"kafka", "http", "stdout", "discard"};
    static_assert(std::size(names) == std::variant_size_v<decltype(one.kind)>);
    return names[one.kind.index()];
}

/// Columns of an insert-only table as an event. Templates may hold {column}; `payload` and
/// `headers` name one column each.
struct mapped_shape {
    std::optional<std::string> id;   ///< absent: made of commit LSN, time and ordinal
    std::optional<std::string> key;  ///< absent: no key
    std::optional<std::string> type;
    std::string payload;
    std::optional<std::string> headers;  ///< a JSON object
    /// Header name → template. `headers: { name: "{column}" }` gives these instead of `headers`.
    std::vector<std::pair<std::string, std::string>> header_values;
    /// `shape: debezium`, or a map with `like: debezium`: what the map leaves out has the Outbox
    /// Event Router's defaults, filled in by the reader, and Kafka gets its headers and no others.
    bool debezium = false;
    std::set<std::string>
        secret_headers{};  ///< names in `header_values` whose values hold a secret

    friend bool operator==(const mapped_shape&, const mapped_shape&) = default;
};

/// The table has the columns of walrelay.outbox. Messages are read as rows of this shape too.
struct walrelay_shape {
    friend bool operator==(const walrelay_shape&, const walrelay_shape&) = default;
};

/// walrelay.dispatch: pushes of workflows.
struct push_shape {
    friend bool operator==(const push_shape&, const push_shape&) = default;
};

/// `on_event_error:`, for events that can't be delivered whatever is tried.
enum class error_policy : std::uint8_t {
    park,      ///< set aside; later events of its key go on
    park_key,  ///< set aside, and later events of its key behind it
    halt,      ///< nothing more is sent
};

/// `retry:`, for failures that may pass. 0: retried for ever.
struct retry {
    std::uint32_t max_attempts = 0;
    std::chrono::milliseconds max_age{0};  ///< since the first failure

    friend bool operator==(const retry&, const retry&) = default;
};

/// `routes:` entry. The first route whose `from` and `where` match a row takes it.
struct route {
    std::string from_schema;  ///< empty for messages
    std::string from_table;
    std::string from_message;  ///< `from: message:PREFIX`: the prefix; empty for tables
    std::vector<std::pair<std::string, std::vector<std::string>>> where;  ///< column, globs
    std::vector<std::size_t> to;  ///< indexes into model::sinks; empty for `to: none`
    std::variant<walrelay_shape, mapped_shape, push_shape> shape;
    /// Template. Default: {topic} for the walrelay shape, {queue} for pushes,
    /// outbox.event.{aggregatetype} for Debezium's.
    std::optional<std::string> topic;
    std::optional<std::string> key;   ///< template; default: the shape's key
    std::vector<std::string> topics;  ///< globs that a topic must match; empty: any
    error_policy on_event_error = error_policy::park;
    position at;

    friend bool operator==(const route&, const route&) = default;
};

/// `limits:`
struct limits {
    std::uint64_t in_flight_events = 20'000;
    std::uint64_t in_flight_bytes = 16ULL << 20;
    std::uint64_t replay_events = 50'000;
    std::uint64_t event_bytes = 1ULL << 20;
    std::chrono::milliseconds hold{30'000};  ///< then a key that fails alone is set aside

    friend bool operator==(const limits&, const limits&) = default;
};

/// `admin:`; no listener when `listen` is empty.
struct admin {
    std::string listen = "127.0.0.1:9187";  ///< host:port; port 0 takes a free one
    std::string token;                      ///< secret; required off loopback
};

enum class log_format : std::uint8_t { text, json };
enum class log_level : std::uint8_t { debug, info, warning, error };

struct log {
    log_level level = log_level::info;
    log_format format = log_format::text;
};

struct model {
    config::source source;
    std::vector<config::sink> sinks;
    std::vector<config::route> routes;
    error_policy on_event_error = error_policy::park;  ///< of what no route takes
    config::retry retry;
    config::limits limits;
    config::admin admin;
    config::log log;
};

}  // namespace walrelay::config
