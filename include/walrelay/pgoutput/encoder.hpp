// Relation and Insert as the server would send them: what is set aside is stored in this form, so
// that it comes back through the decoder.
#pragma once

#include <string>

#include "walrelay/pgoutput/messages.hpp"
#include "walrelay/pgoutput/relation.hpp"

namespace walrelay::pgoutput {

/// A Relation message. Types of columns are those that were resolved, so domains need no Type
/// message; modifiers and the replica identity, which nothing here reads, are the defaults.
[[nodiscard]] std::string encode_relation(const relation& table);

/// An Insert message.
[[nodiscard]] std::string encode_insert(std::uint32_t relation_id, const tuple_view& row);

}  // namespace walrelay::pgoutput
