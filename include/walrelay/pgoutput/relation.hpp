// Tables as the stream describes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "walrelay/pgoutput/decoder.hpp"
#include "walrelay/pgoutput/messages.hpp"

namespace walrelay::pgoutput {

struct column {
    std::string name;
    std::uint32_t type_oid = 0;  ///< of a domain over a built-in type: that type's
    bool key = false;

    friend bool operator==(const column&, const column&) = default;
};

/// One version of a table. Immutable: a new Relation message makes a new object, so rows that were
/// read under the old one keep it.
struct relation {
    std::uint32_t id = 0;
    std::string schema;  ///< "pg_catalog" where the wire has ""; empty only for messages
    std::string name;
    std::vector<column> columns;

    /// Index of the column called `column_name`, or -1.
    [[nodiscard]] int column_index(std::string_view column_name) const noexcept;

    /// schema.name, not quoted: for logs, metrics and matching with routes.
    [[nodiscard]] std::string qualified_name() const {
        return schema.empty() ? name : schema + "." + name;
    }
};

/// The latest Relation of each id on one connection. Cleared on reconnect.
class relation_cache {
public:
    relation_cache() = default;
    // It points into itself: a copy would look things up in the original.
    relation_cache(const relation_cache&) = delete;
    relation_cache& operator=(const relation_cache&) = delete;
    relation_cache(relation_cache&&) = default;
    relation_cache& operator=(relation_cache&&) = default;

    /// Remembers a domain: the server tells its oid with the name of the type that it is made of.
    void note(const type& described);

    /// Replaces what was known under this id. Fails when `limit_entries` would be passed.
    [[nodiscard]] decoded<std::shared_ptr<const relation>> put(const relation_view& view);
    /// nullptr when no Relation message came for this id. Constant time for the id last asked for.
    [[nodiscard]] const std::shared_ptr<const relation>* find(std::uint32_t id) const noexcept;
    void clear() noexcept;

    static constexpr std::size_t limit_entries = 100'000;

private:
    std::unordered_map<std::uint32_t, std::shared_ptr<const relation>> relations_;
    std::unordered_map<std::uint32_t, std::uint32_t> base_types_;  ///< of domains
    mutable std::uint32_t last_id_ = 0;
    mutable const std::shared_ptr<const relation>* last_ = nullptr;
};

}  // namespace walrelay::pgoutput
