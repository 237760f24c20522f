// What holds WAL back, in one sentence. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "status_facts.hpp"

namespace walrelay::cli {

/// "WAL is held by sink events: topic orders stalls for 3 min (unknown topic); the slot keeps
/// 1.2 MiB", or "nothing holds WAL back: the slot keeps 16.0 KiB".
[[nodiscard]] std::string what_holds_wal(const status_facts& found);

/// WAL that is not known to be delivered: up to the record or the slot's position, whichever is
/// further.
[[nodiscard]] std::uint64_t undelivered_bytes(const database_facts& found);

/// "12 s", "3 min", "5 h", "4 days"
[[nodiscard]] std::string readable_seconds(double seconds);

}  // namespace walrelay::cli
