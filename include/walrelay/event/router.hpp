// Which sinks a row goes to, and what it looks like there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/event/record.hpp"
#include "walrelay/pgoutput/relation.hpp"

namespace walrelay::event {

/// What the engine needs to know of one delivery before it is built.
struct placement {
    std::size_t sink = 0;        ///< index into config::model::sinks
    std::uint64_t key_hash = 0;  ///< meaningful when keyed; a stable_hash
    std::uint64_t target_hash =
        0;               ///< of the topic or URL: what can stall apart from the rest of its sink
    bool keyed = false;  ///< false: the key is NULL, no order is kept
    config::error_policy on_event_error = config::error_policy::park;
};

/// What the routes say of one row.
struct routing {
    enum class verdict : std::uint8_t { routed, discarded, no_route };

    verdict what = verdict::no_route;
    std::uint16_t route = 0;  ///< index into config::model::routes when routed or discarded
};

/// What people look for an event by, as far as the row tells it.
struct outline {
    std::string destination;  ///< as of a record, without what is secret; empty: none, or unknown
    std::optional<std::string> key;
    std::optional<std::string> type;
};

/// The routes compiled for one version of one table: column names are indexes, templates are
/// parsed. Immutable; shared by the rows that were read under it.
class table_plan {
public:
    virtual ~table_plan() = default;

    /// First route that takes the row; `placements` is overwritten, one for each sink of the route.
    /// A row that the table's Relation does not describe (another number of columns, a column of
    /// `where` not sent) is taken by none. A row without a usable destination is placed anywhere:
    /// build() says what is wrong.
    virtual routing decide(const pgoutput::tuple_view& row,
                           std::vector<placement>& placements) const = 0;

    /// Fills `out` for one sink of a route that decide() chose. The same row, plan, position and
    /// epoch give the same bytes. An error is the row's own fault (event error): both payload and
    /// raw set, NULL in a topic or path, headers that are not a JSON object, a topic that is not
    /// allowed… What `out` holds after an error is unspecified.
    [[nodiscard]] virtual result<void> build(const pgoutput::tuple_view& row, std::uint16_t route,
                                             std::size_t sink, const row_position& position,
                                             std::uint64_t epoch, record& out) const = 0;

    /// The id alone, for logs and readiness; works also for rows that no route takes (then made of
    /// the position, unless the table has the walrelay shape's id column).
    virtual std::string id_of(const pgoutput::tuple_view& row,
                              const row_position& position) const = 0;

    /// Of a row that decide() gave this route and sink: as build() has it, but works also for rows
    /// that it refuses. A destination may be one that is not allowed.
    [[nodiscard]] virtual outline outline_for(const pgoutput::tuple_view& row, std::uint16_t route,
                                              std::size_t sink) const = 0;
    /// Of a row that no route takes: what all routes of its table agree on; where there are none,
    /// the columns of the walrelay shape, or of a push.
    [[nodiscard]] virtual outline outline_of(const pgoutput::tuple_view& row) const = 0;

    /// schema.name, or message:PREFIX
    [[nodiscard]] virtual const std::string& table() const = 0;

    /// Some route names the table, though it may not take a row.
    [[nodiscard]] virtual bool has_routes() const noexcept = 0;

    /// The version of the table that it was compiled for.
    [[nodiscard]] virtual const pgoutput::relation& relation() const = 0;
};

/// The routes of the sink map. Immutable after make().
class router {
public:
    /// Errors name the route by file:line:column; so does one of a `from: message:` route that uses
    /// a column which messages have not.
    [[nodiscard]] static result<router> make(const config::model& model);

    /// Some route names this table.
    [[nodiscard]] bool names(std::string_view schema, std::string_view table) const;

    /// Some route is `from: message:PREFIX`: the stream has to be asked for messages.
    [[nodiscard]] bool wants_messages() const noexcept;

    /// The plan for messages under this prefix (they are rows of message_row's table); nothing when
    /// no route names it, and the message is nobody's. Called for each message: the answer is
    /// ready.
    [[nodiscard]] std::shared_ptr<const table_plan> message_plan(std::string_view prefix) const;

    /// Compiles the routes of a table. Fails when a route uses a column that the table has not (the
    /// stream must stall: `map table s.t: column "x" (used as payload by the route at f:1:2) does
    /// not exist`, all such columns at once). A route that discards needs the columns of its
    /// `where` only. A table that no route names gives a plan that decides no_route for every row.
    [[nodiscard]] result<std::shared_ptr<const table_plan>> plan(
        std::shared_ptr<const pgoutput::relation> table) const;

    /// Names the rows of a table that plan() can't map; takes none of them.
    [[nodiscard]] static std::shared_ptr<const table_plan> plan_without_routes(
        std::shared_ptr<const pgoutput::relation> table);

private:
    struct compiled;
    std::shared_ptr<const compiled> compiled_;
};

/// The template of the Kafka topic that a route names, else that of its shape; empty where neither
/// has one.
[[nodiscard]] std::string topic_template(const config::route& route);

}  // namespace walrelay::event
