#include "walrelay/pgoutput/relation.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "walrelay/core/type_oid.hpp"

namespace walrelay::pgoutput {

namespace {

/// Built-in types by name.
constexpr std::array<std::pair<std::string_view, std::uint32_t>, 14> built_in{{
    {"bool", type_oid::boolean},
    {"bytea", type_oid::bytea},
    {"int8", type_oid::int8},
    {"int2", type_oid::int2},
    {"int4", type_oid::int4},
    {"text", type_oid::text},
    {"json", type_oid::json},
    {"varchar", type_oid::varchar},
    {"date", type_oid::date},
    {"timestamp", type_oid::timestamp},
    {"timestamptz", type_oid::timestamptz},
    {"numeric", type_oid::numeric},
    {"uuid", type_oid::uuid},
    {"jsonb", type_oid::jsonb},
}};

}  // namespace

int relation::column_index(std::string_view column_name) const noexcept {
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (columns[i].name == column_name) return static_cast<int>(i);
    }
    return -1;
}

void relation_cache::note(const type& described) {
    if (!described.schema.empty() && described.schema != "pg_catalog") return;
    const auto found = std::find_if(built_in.begin(), built_in.end(),
                                    [&](const auto& one) { return one.first == described.name; });
    if (found != built_in.end() && base_types_.size() < limit_entries)
        base_types_.insert_or_assign(described.oid, found->second);
}

decoded<std::shared_ptr<const relation>> relation_cache::put(const relation_view& view) {
    if (relations_.size() >= limit_entries && !relations_.contains(view.id)) {
        return protocol_error{protocol_error::kind::bad_value, 'R',
                              "more tables on one connection than the relay keeps", 0};
    }
    auto made = std::make_shared<relation>();
    made->id = view.id;
    made->schema = view.schema.empty() ? "pg_catalog" : view.schema;
    made->name = view.name;
    made->columns.reserve(view.columns.size());
    for (const column_view& seen : view.columns) {
        const auto base = base_types_.find(seen.type_oid);
        made->columns.push_back({std::string{seen.name},
                                 base == base_types_.end() ? seen.type_oid : base->second,
                                 seen.key});
    }
    return relations_.insert_or_assign(view.id, std::move(made)).first->second;
}

const std::shared_ptr<const relation>* relation_cache::find(std::uint32_t id) const noexcept {
    if (last_ != nullptr && last_id_ == id) return last_;
    const auto found = relations_.find(id);
    if (found == relations_.end()) return nullptr;
    // Nodes of an unordered_map stay where they are; put() replaces what a node holds, not the
    // node.
    last_id_ = id;
    last_ = &found->second;
    return last_;
}

void relation_cache::clear() noexcept {
    relations_.clear();
    base_types_.clear();
    last_ = nullptr;
}

}  // namespace walrelay::pgoutput
