#include <algorithm>
#include <array>
#include <string_view>

#include "install_script.hpp"
#include "judge.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/event/router.hpp"

namespace walrelay::cli {

namespace {

using postgres::publication_state;
using postgres::published_table;

std::string quoted(const std::string& schema, const std::string& name) {
    return quote_identifier(schema) + "." + quote_identifier(name);
}

std::string subject_of(const std::string& schema, const std::string& name) {
    return "table " + printable(schema + "." + name);
}

/// What a publication sends, and under which names.
void judge_one(const publication_state& one, bool partitioned_route, std::vector<finding>& out) {
    const auto name = quote_identifier(one.name);
    const auto subject = "publication " + printable(one.name);
    const auto alter = "alter publication " + name + " set ";
    if (!one.publishes_insert) {
        out.push_back(
            {severity::stops, subject, "publishes no inserts", {alter + "(publish = 'insert');"}});
    } else if (one.publishes_update || one.publishes_delete || one.publishes_truncate) {
        std::string also;
        if (one.publishes_update) also += ", UPDATE";
        if (one.publishes_delete) also += ", DELETE";
        if (one.publishes_truncate) also += ", TRUNCATE";
        out.push_back({severity::warns,
                       subject,
                       "publishes " + also.substr(2) +
                           " too: they deliver nothing, and UPDATE and DELETE fail for the "
                           "application where a table has no replica identity",
                       {alter + "(publish = 'insert');"}});
    }
    if (!one.via_partition_root) {
        out.push_back(
            {partitioned_route ? severity::stops : severity::warns,
             subject,
             "publish_via_partition_root is off: rows of a partitioned table come under the "
             "names of its partitions, which no route names",
             {alter + "(publish_via_partition_root = true);"}});
    }
    if (one.all_tables) {
        out.push_back(
            {severity::warns,
             subject,
             "is FOR ALL TABLES: each table that is made later needs a route, or stops the relay",
             {"a publication of the routed tables: another name in source.publication, then "
              "walrelay sql --apply"}});
    }
}

bool routed(const std::vector<routed_table>& tables, const published_table& one) {
    return std::any_of(tables.begin(), tables.end(), [&](const routed_table& route) {
        return route.schema == one.schema && route.name == one.name;
    });
}

/// Tables of the schema that hold what the relay keeps for itself, today's and later ones.
bool relays_own(const published_table& one) {
    constexpr std::array names{"progress",       "parked", "queue", "workflow_slot",
                               "workflow_state", "step",   "dedup", "inbox"};
    return one.schema == "walrelay" &&
           std::find(names.begin(), names.end(), one.name) != names.end();
}

const publication_state* state_of(const facts& found, const std::string& name) {
    const auto& all = found.publications.found;
    const auto at = std::find_if(all.begin(), all.end(),
                                 [&](const publication_state& one) { return one.name == name; });
    return at == all.end() ? nullptr : &*at;
}

/// Tables that are captured but that no route names: their first row would halt the relay.
void judge_unrouted(const facts& found, const judged_map& map, std::vector<finding>& out) {
    constexpr std::size_t shown = 10;
    const auto routes = routed_tables(map.model);
    std::size_t left_out = 0;
    std::size_t said = 0;
    for (const auto& one : found.publications.tables) {
        if (routed(routes, one)) continue;
        const auto* publication = state_of(found, one.publication);
        // Its partitions are listed instead of the table: the option is the fault, and was said.
        if (publication != nullptr && !publication->via_partition_root) continue;
        if (said == shown) {
            ++left_out;
            continue;
        }
        ++said;
        finding unrouted{severity::stops, subject_of(one.schema, one.name), {}, {}};
        if (relays_own(one)) {
            unrouted.text = "is in publication " + printable(one.publication) +
                            ", but belongs to the relay: each write of it would come back";
        } else {
            unrouted.text =
                "is in publication " + printable(one.publication) + ", but no route names it";
            unrouted.mends.push_back(
                "a route with from: " + printable(one.schema + "." + one.name) +
                " (to: none discards its rows)");
        }
        if (publication != nullptr && !publication->all_tables) {
            unrouted.mends.push_back("alter publication " + quote_identifier(one.publication) +
                                     " drop table " + quoted(one.schema, one.name) + ";");
        }
        out.push_back(std::move(unrouted));
    }
    if (left_out > 0) {
        out.push_back({severity::stops,
                       "publication",
                       std::to_string(left_out) + " more tables without a route",
                       {}});
    }
}

pgoutput::relation relation_of(const table_facts& table, const published_table* published) {
    pgoutput::relation relation;
    relation.schema = table.schema;
    relation.name = table.name;
    for (const auto& column : table.columns) {
        const bool sent = published == nullptr || published->columns.empty() ||
                          std::find(published->columns.begin(), published->columns.end(),
                                    column.name) != published->columns.end();
        if (sent) relation.columns.push_back(column);
    }
    return relation;
}

/// The routes compiled for the table as it is: the same code that the relay runs.
std::string fault_of_columns(const event::router& router, pgoutput::relation relation) {
    const auto plan = router.plan(std::make_shared<const pgoutput::relation>(std::move(relation)));
    return plan.has_error() ? plan.error().text() : std::string{};
}

/// Headers are a JSON object: a column of a type that can't hold one makes every row an event
/// error.
bool judge_header_columns(const judged_map& map, const table_facts& table,
                          std::vector<finding>& out) {
    constexpr std::array<std::uint32_t, 5> text_or_json{25, 114, 1042, 1043, 3802};
    bool good = true;
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
            good = false;
            out.push_back({severity::warns,
                           subject_of(table.schema, table.name),
                           "column " + printable(column.name) +
                               " is used as headers, but its type holds no JSON object: each row "
                               "that has one is an event error",
                           {"headers: a column of type jsonb, json or text, or a map of header "
                            "names to templates, in " +
                            map.file}});
        }
    }
    return good;
}

void judge_columns(const facts& found, const judged_map& map, const event::router& router,
                   const table_facts& table, std::vector<finding>& out) {
    const auto subject = subject_of(table.schema, table.name);
    if (auto fault = fault_of_columns(router, relation_of(table, nullptr)); !fault.empty()) {
        out.push_back({severity::stops,
                       subject,
                       printable(fault, 400),
                       {"mend the route in " + map.file + ", or alter the table"}});
        return;
    }
    bool published = false;
    bool good = judge_header_columns(map, table, out);
    for (const auto& one : found.publications.tables) {
        if (one.schema != table.schema || one.name != table.name) continue;
        published = true;
        const auto fault = fault_of_columns(router, relation_of(table, &one));
        if (!fault.empty()) {
            good = false;
            out.push_back({severity::stops,
                           subject,
                           "publication " + printable(one.publication) +
                               " has a column list that leaves out what a route uses: " +
                               printable(fault, 300),
                           {"alter publication " + quote_identifier(one.publication) +
                                " drop table " + quoted(table.schema, table.name) + ";",
                            "alter publication " + quote_identifier(one.publication) +
                                " add table " + quoted(table.schema, table.name) +
                                ";  -- in one transaction, or rows get lost between"}});
        }
        const auto* publication = state_of(found, one.publication);
        if (one.has_row_filter && publication != nullptr &&
            (publication->publishes_update || publication->publishes_delete)) {
            good = false;
            out.push_back(
                {severity::stops,
                 subject,
                 "publication " + printable(one.publication) +
                     " has a row filter, and publishes more than inserts: where the filter uses a "
                     "column outside the replica identity, each UPDATE and DELETE of the "
                     "application fails",
                 {"alter publication " + quote_identifier(one.publication) +
                  " set (publish = 'insert');"}});
        } else if (one.has_row_filter) {
            good = false;
            out.push_back(
                {severity::warns,
                 subject,
                 "publication " + printable(one.publication) +
                     " has a row filter: what it leaves out is never delivered, and says so "
                     "nowhere",
                 {"where: in a route with to: none, which counts what it discards"}});
        }
    }
    // Without the option the partitions are listed in place of their table.
    const bool hidden =
        table.partitioned &&
        std::any_of(found.publications.found.begin(), found.publications.found.end(),
                    [](const auto& one) { return !one.via_partition_root; });
    if (!published && !hidden) {
        finding missing{severity::stops,
                        subject,
                        "is named by a route, but in no publication of the relay",
                        {}};
        if (!found.publications.found.empty()) {
            missing.mends.push_back("alter publication " +
                                    quote_identifier(found.publications.found.front().name) +
                                    " add table " + quoted(table.schema, table.name) + ";");
        }
        missing.mends.push_back(apply_command(map));
        out.push_back(std::move(missing));
    } else if (good && published) {
        out.push_back(
            {severity::ok, subject, "is published, and has the columns that its routes use", {}});
    }
}

}  // namespace

void judge_publications(const facts& found, const judged_map& map, std::vector<finding>& out) {
    const bool partitioned_route =
        std::any_of(found.tables.begin(), found.tables.end(),
                    [](const table_facts& one) { return one.partitioned; });
    for (const auto& name : map.model.source.publications) {
        const auto* state = state_of(found, name);
        if (state == nullptr) {
            out.push_back({severity::stops,
                           "publication " + printable(name),
                           "does not exist",
                           {apply_command(map)}});
            continue;
        }
        const auto before = out.size();
        judge_one(*state, partitioned_route, out);
        if (out.size() == before) {
            out.push_back({severity::ok,
                           "publication " + printable(name),
                           "publishes inserts, under the names of the routed tables",
                           {}});
        }
    }
    judge_unrouted(found, map, out);
}

void judge_tables(const facts& found, const judged_map& map, std::vector<finding>& out) {
    const auto router = event::router::make(map.model);
    if (router.has_error()) {
        out.push_back({severity::stops, "routes", printable(router.error().text(), 400), {}});
        return;
    }
    for (const auto& table : found.tables) {
        const auto subject = subject_of(table.schema, table.name);
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
                           {"alter table " + quoted(table.schema, table.name) +
                            " set logged;  -- if it is unlogged"}});
        } else {
            judge_columns(found, map, *router, table, out);
        }
    }
}

}  // namespace walrelay::cli
