#include "walrelay/relay/preflight.hpp"

#include <algorithm>

#include "walrelay/core/escape.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

std::string sql_name(const std::string& schema, const std::string& table) {
    return printable(quote_identifier(schema) + "." + quote_identifier(table));
}

engine::slot_facts facts_of(const postgres::slot_state& slot) {
    return {slot.name,
            slot.plugin,
            slot.slot_type,
            slot.database,
            slot.current_database,
            slot.temporary,
            slot.confirmed_flush,
            slot.wal_status,
            slot.invalidation_reason};
}

}  // namespace

std::optional<error> judge_settings(const postgres::server_settings& settings,
                                    const postgres::connection& link) {
    if (settings.server_backend_pid != link.backend_pid()) {
        return error{"connect to", link.where(),
                     "a connection pooler (PgBouncer) answers, not Postgres itself",
                     "set source.conninfo to the server's own address: replication doesn't work "
                     "through a pooler"};
    }
    if (settings.wal_level != "logical") {
        return error{"start on", link.where(),
                     "wal_level is " + settings.wal_level + ", it must be logical",
                     "ALTER SYSTEM SET wal_level = logical; then restart the server"};
    }
    if (settings.in_recovery) {
        return error{"start on", link.where(), "the server is a standby",
                     "name the primary in source.conninfo, or all hosts "
                     "(target_session_attrs=read-write chooses)"};
    }
    return std::nullopt;
}

std::optional<error> judge_publications(const postgres::publications& published,
                                        const config::model& model, const event::router& routes) {
    for (const std::string& name : model.source.publications) {
        const auto found = std::find_if(published.found.begin(), published.found.end(),
                                        [&](const auto& one) { return one.name == name; });
        const std::string object = "publication " + printable(quote_identifier(name));
        if (found == published.found.end()) {
            return error{"start from", object, "it does not exist",
                         "run walrelay sql -c FILE --apply, which creates publication and slot"};
        }
        if (!found->publishes_insert) {
            return error{"start from", object,
                         "it doesn't publish inserts, so no row would ever arrive",
                         "ALTER PUBLICATION " + printable(quote_identifier(name)) +
                             " SET (publish = 'insert')"};
        }
    }
    for (const postgres::published_table& table : published.tables) {
        if (routes.names(table.schema, table.name)) continue;
        if (table.schema == "walrelay" && table.name == "redrive") continue;  // ours
        const auto found =
            std::find_if(published.found.begin(), published.found.end(),
                         [&](const auto& one) { return one.name == table.publication; });
        if (found != published.found.end() && !found->via_partition_root) {
            const std::string name = printable(quote_identifier(table.publication));
            return error{"start from", "publication " + name,
                         "its table " + printable(table.schema + "." + table.name) +
                             " has no route; if it is a partition of one that has: "
                             "publish_via_partition_root is off, so rows come under the names of "
                             "their partitions",
                         "ALTER PUBLICATION " + name +
                             " SET (publish_via_partition_root = true), or add a route for the "
                             "table"};
        }
        return error{"start from", "publication " + printable(quote_identifier(table.publication)),
                     "its table " + printable(table.schema + "." + table.name) + " has no route",
                     "add a route for it (to: none discards), or ALTER PUBLICATION " +
                         printable(quote_identifier(table.publication)) + " DROP TABLE " +
                         sql_name(table.schema, table.name)};
    }
    return std::nullopt;
}

std::optional<error> unpublished_route(const postgres::publications& published,
                                       const config::model& model) {
    for (const config::route& route : model.routes) {
        // Messages come whatever is published, and what is discarded needs not come.
        if (!route.from_message.empty() || route.to.empty()) continue;
        const auto found =
            std::find_if(published.tables.begin(), published.tables.end(), [&](const auto& table) {
                return table.schema == route.from_schema && table.name == route.from_table;
            });
        if (found != published.tables.end()) continue;
        return error{"start from", "table " + printable(route.from_schema + "." + route.from_table),
                     "a route names it, but no publication of this relay holds it, so its rows "
                     "would never arrive",
                     "ALTER PUBLICATION " +
                         printable(quote_identifier(model.source.publications.front())) +
                         " ADD TABLE " + sql_name(route.from_schema, route.from_table) +
                         "; rows that were committed before that don't come"};
    }
    return std::nullopt;
}

asio::awaitable<preflight_result> look_before_start(postgres::connection& link,
                                                    const config::model& model,
                                                    const event::router& routes) {
    server_facts facts;
    auto settings = co_await postgres::read_settings(link);
    if (!settings) co_return settings.error();
    facts.settings = std::move(*settings);
    if (auto wrong = judge_settings(facts.settings, link))
        co_return engine::start_refusal{2, std::move(*wrong)};

    auto published = co_await postgres::read_publications(link, model.source.publications);
    if (!published) co_return published.error();
    auto wrong = judge_publications(*published, model, routes);
    if (wrong) co_return engine::start_refusal{2, std::move(*wrong)};

    auto identity = co_await postgres::read_identity(link);
    if (!identity) co_return identity.error();
    facts.identity = std::move(*identity);

    auto slot = co_await postgres::read_slot(link, model.source.slot);
    if (!slot) co_return slot.error();
    // Slot first, record second: while another relay holds the slot both move, and the record
    // leads.
    auto record = co_await postgres::read_progress(link, model.source.slot);
    if (!record) co_return record.error();
    facts.record = std::move(*record);
    engine::start_facts start{model.source.slot, std::nullopt, std::nullopt,
                              facts.identity.system_identifier};
    if (*slot) start.slot = facts_of(**slot);
    if (facts.record)
        start.record = engine::record_facts{facts.record->safe, facts.record->system_identifier};
    if (auto refused = engine::refuse_start(start)) co_return std::move(*refused);
    facts.unpublished = unpublished_route(*published, model);
    if (facts.unpublished && !facts.record)
        co_return engine::start_refusal{2, std::move(*facts.unpublished)};
    facts.slot = std::move(**slot);
    co_return facts;
}

}  // namespace walrelay::relay
