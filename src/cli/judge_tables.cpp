#include <algorithm>
#include <array>
#include <string_view>

#include "judge.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/event/router.hpp"

namespace walrelay::cli {

namespace {

using postgres::publication_state;
using postgres::published_table;

bool holds(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

pgoutput::relation relation_of(const table_facts& table) {
    pgoutput::relation relation;
    relation.schema = table.schema;
    relation.name = table.name;
    relation.columns = table.columns;
    return relation;
}

bool is_delivered(const config::model& model, const table_facts& table) {
    return std::any_of(model.routes.begin(), model.routes.end(), [&](const config::route& route) {
        return route.from_schema == table.schema && route.from_table == table.name &&
               !route.to.empty();
    });
}

/// The table as the publication sends it. Before PostgreSQL 18 no generated column is sent, though
/// the server may list it.
pgoutput::relation relation_sent(const table_facts& table, const published_table& published,
                                 int server_version, bool with_generated) {
    constexpr int version_18 = 180000;
    pgoutput::relation relation = relation_of(table);
    std::erase_if(relation.columns, [&](const pgoutput::column& column) {
        const bool listed = published.columns.empty() || holds(published.columns, column.name);
        if (!holds(table.generated, column.name)) return !listed;
        return !with_generated && !(listed && server_version >= version_18);
    });
    return relation;
}

/// The routes compiled for the table as it is: the same code that the relay runs.
std::string fault_of_columns(const event::router& router, pgoutput::relation relation) {
    const auto plan = router.plan(std::make_shared<const pgoutput::relation>(std::move(relation)));
    return plan.has_error() ? printable(plan.error().text(), 400) : std::string{};
}

/// Headers are a JSON object: a column of a type that can't hold one makes every row an event
/// error.
void judge_header_columns(const judged_map& map, const table_facts& table,
                          std::vector<finding>& out) {
    constexpr std::array<std::uint32_t, 5> text_or_json{25, 114, 1042, 1043, 3802};
    for (const auto& route : map.model.routes) {
        if (route.from_schema != table.schema || route.from_table != table.name) continue;
        const auto* shape = std::get_if<config::mapped_shape>(&route.shape);
        if (shape == nullptr || !shape->headers || route.to.empty()) continue;
        for (const auto& column : table.columns) {
            if (column.name != *shape->headers ||
                std::find(text_or_json.begin(), text_or_json.end(), column.type_oid) !=
                    text_or_json.end()) {
                continue;
            }
            out.push_back({severity::warns,
                           table_subject(table.schema, table.name),
                           "column " + printable(column.name) +
                               " is used as headers, but its type holds no JSON object: each row "
                               "that has one is an event error",
                           {"headers: a column of type jsonb, json or text, or a map of header "
                            "names to templates, in " +
                            map.file}});
        }
    }
}

/// A column that a route uses and that the publication leaves out.
void judge_sent_columns(const facts& found, const event::router& router, const table_facts& table,
                        const published_table& one, std::vector<finding>& out) {
    const int version = found.settings.version;
    const auto fault = fault_of_columns(router, relation_sent(table, one, version, false));
    if (fault.empty()) return;
    finding missing{severity::stops, table_subject(table.schema, table.name), {}, {}};
    const auto publication = quote_identifier(one.publication);
    const auto name = quoted_table(table.schema, table.name);
    if (fault_of_columns(router, relation_sent(table, one, version, true)).empty()) {
        missing.text = "publication " + printable(one.publication) +
                       " doesn't send generated columns, and a route uses one: " + fault;
        missing.mends = {"alter publication " + publication +
                             " set (publish_generated_columns = stored);  -- PostgreSQL 18 and "
                             "later, for a stored one",
                         "or an ordinary column in its place"};
    } else {
        missing.text = "publication " + printable(one.publication) +
                       " has a column list that leaves out what a route uses: " + fault;
        missing.mends = {"alter publication " + publication + " drop table " + name + ";",
                         "alter publication " + publication + " add table " + name +
                             ";  -- in one transaction, or rows get lost between"};
    }
    out.push_back(std::move(missing));
}

void judge_row_filter(const published_table& one, const publication_state& publication,
                      std::vector<finding>& out) {
    const auto subject = table_subject(one.schema, one.name);
    if (publication.publishes_update || publication.publishes_delete) {
        out.push_back(
            {severity::stops,
             subject,
             "publication " + printable(one.publication) +
                 " has a row filter, and publishes more than inserts: where the filter uses a "
                 "column outside the replica identity, each UPDATE and DELETE of the "
                 "application fails",
             {"alter publication " + quote_identifier(one.publication) +
              " set (publish = 'insert');"}});
    } else {
        out.push_back({severity::warns,
                       subject,
                       "publication " + printable(one.publication) +
                           " has a row filter: what it leaves out is never delivered, and says so "
                           "nowhere",
                       {"where: in a route with to: none, which counts what it discards"}});
    }
}

/// PostgreSQL 14 asks once a connection whether a table is published, and ATTACH and DETACH don't
/// make it ask again.
void judge_attached_partitions(const facts& found, const table_facts& table,
                               const published_table& one, std::vector<finding>& out) {
    constexpr int version_15 = 150000;
    const bool own_ring = table.schema == "walrelay";  // its partitions are made with their table
    if (!table.partitioned || own_ring || found.settings.version >= version_15) return;
    out.push_back(
        {severity::warns,
         table_subject(table.schema, table.name),
         "PostgreSQL 14 doesn't send the rows of a partition that was written to and is "
         "attached while the relay is connected (CREATE TABLE … PARTITION OF is safe)",
         {"alter publication " + quote_identifier(one.publication) +
          " set (publish = 'insert');  -- in the transaction of each ATTACH and DETACH"}});
}

void judge_unpublished(const facts& found, const judged_map& map, const table_facts& table,
                       std::vector<finding>& out) {
    // Without the option the partitions are listed in place of their table.
    const bool hidden =
        table.partitioned &&
        std::any_of(found.publications.found.begin(), found.publications.found.end(),
                    [](const auto& one) { return !one.via_partition_root; });
    if (hidden) return;
    finding missing{severity::stops,
                    table_subject(table.schema, table.name),
                    "is named by a route, but in no publication of the relay",
                    {}};
    if (!found.publications.found.empty()) {
        missing.mends.push_back("alter publication " +
                                quote_identifier(found.publications.found.front().name) +
                                " add table " + quoted_table(table.schema, table.name) + ";");
    }
    missing.mends.push_back(apply_command(map));
    out.push_back(std::move(missing));
}

void judge_columns(const facts& found, const judged_map& map, const event::router& router,
                   const table_facts& table, std::vector<finding>& out) {
    const auto subject = table_subject(table.schema, table.name);
    if (auto fault = fault_of_columns(router, relation_of(table)); !fault.empty()) {
        out.push_back({severity::stops,
                       subject,
                       std::move(fault),
                       {"mend the route in " + map.file + ", or alter the table"}});
        return;
    }
    const auto before = out.size();
    judge_header_columns(map, table, out);
    bool published = false;
    for (const auto& one : found.publications.tables) {
        if (one.schema != table.schema || one.name != table.name) continue;
        published = true;
        judge_sent_columns(found, router, table, one, out);
        const auto* publication = find_publication(found, one.publication);
        if (one.has_row_filter && publication != nullptr) judge_row_filter(one, *publication, out);
        judge_attached_partitions(found, table, one, out);
    }
    if (!published) {
        judge_unpublished(found, map, table, out);
    } else if (out.size() == before) {
        out.push_back(
            {severity::ok, subject, "is published, and has the columns that its routes use", {}});
    }
}

}  // namespace

void judge_tables(const facts& found, const judged_map& map, std::vector<finding>& out) {
    const auto router = event::router::make(map.model);
    if (router.has_error()) {
        out.push_back({severity::stops,
                       "routes",
                       printable(router.error().text(), 400),
                       {"mend the route in " + map.file}});
        return;
    }
    for (const auto& table : found.tables) {
        // Where all routes discard, nothing has to arrive.
        if (!is_delivered(map.model, table)) continue;
        const auto subject = table_subject(table.schema, table.name);
        if (!table.exists) {
            const bool ours = table.schema == "walrelay";
            out.push_back(
                {severity::stops,
                 subject,
                 "is named by a route, but does not exist",
                 {ours ? apply_command(map) : "make the table, or mend the route in " + map.file}});
        } else if (!table.ordinary) {
            out.push_back({severity::stops,
                           subject,
                           "is no ordinary logged table: it can't be published",
                           {"alter table " + quoted_table(table.schema, table.name) +
                            " set logged;  -- if it is unlogged"}});
        } else {
            judge_columns(found, map, *router, table, out);
        }
    }
}

}  // namespace walrelay::cli
