#include <algorithm>
#include <array>
#include <string_view>

#include "install_script.hpp"
#include "judge.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

using postgres::publication_state;
using postgres::published_table;

constexpr const char* own_publication =
    "a publication of the routed tables: another name in source.publication, then "
    "walrelay sql --apply";

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
             {own_publication}});
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

bool holds_marks(const published_table& one) {
    return one.schema == "walrelay" && one.name == "redrive";
}

/// Tables that are captured but that no route names: their first row would halt the relay.
void judge_unrouted(const facts& found, const judged_map& map, std::vector<finding>& out) {
    constexpr std::size_t shown = 10;
    const auto routes = routed_tables(map.model);
    std::size_t left_out = 0;
    std::size_t said = 0;
    for (const auto& one : found.publications.tables) {
        if (routed(routes, one) || holds_marks(one)) continue;
        const auto* publication = find_publication(found, one.publication);
        // Its partitions are listed instead of the table: the option is the fault, and was said.
        if (publication != nullptr && !publication->via_partition_root) continue;
        if (said == shown) {
            ++left_out;
            continue;
        }
        ++said;
        finding unrouted{severity::stops, table_subject(one.schema, one.name), {}, {}};
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
        if (publication != nullptr && publication->all_tables) {
            unrouted.mends.emplace_back(own_publication);
        } else if (publication != nullptr) {
            unrouted.mends.push_back("alter publication " + quote_identifier(one.publication) +
                                     " drop table " + quoted_table(one.schema, one.name) + ";");
        }
        out.push_back(std::move(unrouted));
    }
    if (left_out > 0) {
        out.push_back({severity::stops,
                       "publication",
                       std::to_string(left_out) + " more tables without a route",
                       {"as for those above"}});
    }
}

/// Without its marks the relay runs, but never hears what operators wish.
void judge_marks(const facts& found, const judged_map& map, std::vector<finding>& out) {
    constexpr const char* table = "table walrelay.redrive";
    const auto& missing = found.missing_objects;
    if (!needs_schema(map.model) || !found.rights.schema_exists ||
        std::find(missing.begin(), missing.end(), table) != missing.end() ||
        found.publications.found.empty()) {
        return;  // that is said elsewhere, and comes first
    }
    const auto& tables = found.publications.tables;
    if (std::any_of(tables.begin(), tables.end(), holds_marks)) return;
    out.push_back({severity::warns,
                   table,
                   "is in no publication of the relay: walrelay parked redrive and drop, pause and "
                   "resume would never reach it",
                   {publish_marks_sql(found.publications.found.front().name), apply_command(map)}});
}

}  // namespace

std::string quoted_table(const std::string& schema, const std::string& name) {
    return quote_identifier(schema) + "." + quote_identifier(name);
}

std::string table_subject(const std::string& schema, const std::string& name) {
    return "table " + printable(schema + "." + name);
}

const publication_state* find_publication(const facts& found, const std::string& name) {
    const auto& all = found.publications.found;
    const auto at = std::find_if(all.begin(), all.end(),
                                 [&](const publication_state& one) { return one.name == name; });
    return at == all.end() ? nullptr : &*at;
}

void judge_publications(const facts& found, const judged_map& map, std::vector<finding>& out) {
    const bool partitioned_route =
        std::any_of(found.tables.begin(), found.tables.end(),
                    [](const table_facts& one) { return one.partitioned; });
    for (const auto& name : map.model.source.publications) {
        const auto* state = find_publication(found, name);
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
    judge_marks(found, map, out);
}

}  // namespace walrelay::cli
