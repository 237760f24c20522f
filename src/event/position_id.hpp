// The id of a row or message that brings none.
#pragma once

#include <cstddef>
#include <string>

#include "walrelay/event/record.hpp"

namespace walrelay::event {

inline constexpr std::size_t longest_position_id = 64;

/// "<commit LSN, 16 hex digits>-<commit time in µs>-<ordinal>", for a message "…-m<ordinal>", and
/// for one outside a transaction "<LSN>-m". The time is part of it because positions come again
/// after an asynchronous failover; the m because messages are numbered apart from rows.
void append_position_id(std::string& out, const row_position& at);

}  // namespace walrelay::event
