// A reader for each section of the file. Each reports what is wrong at its place and fills in what
// it can; whether the model is whole, the findings know.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "place.hpp"
#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"

namespace walrelay::config {

void read_source(const place& where, source& out);
void read_limits(const place& where, limits& out);
void read_admin(const place& where, admin& out);
void read_log(const place& where, log& out);
/// `on_event_error`, which the file and each route may have.
void read_event_error_policy(const place& where, error_policy& out);
void read_retry(const place& where, retry& out);

/// The sinks by the names that routes use, those with problems too: a route to one is no problem of
/// the route.
struct sink_list {
    std::vector<sink> sinks;
    std::vector<bool>
        kind_is_known;  ///< false: the sink's own problem; nothing follows from its kind
};

[[nodiscard]] sink_list read_sinks(const place& where);
void read_kafka_sink(const place& where, kafka_sink& out);
void read_http_sink(const place& where, http_sink& out);

/// Nothing is known of the sinks when their section is missing; then names are not checked.
/// `policy` is that of a route which says none.
[[nodiscard]] std::vector<route> read_routes(const place& where, const sink_list* sinks,
                                             error_policy policy);
/// `shape:` of a route from a table. `http`: those of its sinks that are HTTP, which take fewer
/// headers than others. `out` becomes a mapped_shape unless the value is nothing like a shape.
void read_shape(const place& where, std::span<const http_sink* const> http,
                decltype(route::shape)& out);

/// A template of a place: syntax is checked; nothing if there was a problem.
[[nodiscard]] std::optional<scalar> read_template(const place& where);

/// The cause of a parse_template() error; for a text with a secret without the offset, which would
/// tell how long the secret is. Other causes are given back as they are.
[[nodiscard]] std::string template_fault(const error& failure, bool secret);

/// A SQL name as PostgreSQL takes it: 1 to 63 bytes, no control characters (a newline in a name is
/// nobody's wish, and logs show names).
[[nodiscard]] bool is_sql_name(std::string_view name);

}  // namespace walrelay::config
