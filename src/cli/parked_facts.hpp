// What the commands show of walrelay.parked, as plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "walrelay/intake/row_reader.hpp"

namespace walrelay::cli {

struct parked_row {
    std::int64_t id = 0;
    std::string state;
    std::string sink;  ///< empty: no route took it
    std::string table;
    std::string event_id;
    std::optional<std::string> key;
    std::optional<std::string> type;
    std::string destination;
    std::string error;
    std::uint64_t attempts = 0;
    std::string lsn;
    std::string parked_at;
    std::int64_t age_seconds = 0;
    bool holds_key = false;
    std::optional<std::string> redriven_at;
};

struct parked_count {
    std::string state;
    std::string sink;
    std::uint64_t rows = 0;
};

struct parked_list {
    std::vector<parked_row> rows;      ///< the newest last
    std::uint64_t older = 0;           ///< more of them than are shown
    std::vector<parked_count> counts;  ///< of all that waits in the slot
};

/// One row with its messages.
struct parked_details {
    parked_row row;
    std::string slot;
    std::string updated_at;
    std::uint64_t xid = 0;
    std::string committed_at;
    intake::stored_row stored;
};

/// An id that a command can't act on.
struct parked_misfit {
    std::int64_t id = 0;
    std::string why;
};

}  // namespace walrelay::cli
