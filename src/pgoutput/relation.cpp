#include "walrelay/pgoutput/relation.hpp"

#include <utility>

namespace walrelay::pgoutput {

int relation::column_index(std::string_view column_name) const noexcept {
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (columns[i].name == column_name) return static_cast<int>(i);
    }
    return -1;
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
        made->columns.push_back({std::string{seen.name}, seen.type_oid, seen.key});
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
    last_ = nullptr;
}

}  // namespace walrelay::pgoutput
