// What the simulated server holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "walrelay/core/lsn.hpp"

namespace walrelay::simulation {

/// Identity of a row; in the order of the source, also across a failover.
using row_number = std::uint64_t;

struct source_row {
    enum class nature : std::uint8_t {
        good,
        refused,     ///< its first sink answers `event`, `refusals` times
        final,       ///< its first sink answers `event_final`
        batch,       ///< a batch that holds it is refused, also when it is alone
        unroutable,  ///< no route takes it
    };

    row_number number = 0;
    std::uint32_t key = 0;
    bool keyed = true;
    std::size_t bytes = 0;
    std::vector<std::size_t> sinks;  ///< none: `to: none`
    nature what = nature::good;
    std::uint64_t refusals = 0;  ///< that are still to come
    bool stepped_over = false;   ///< an operator has put a route to none before the others
};

using row_pointer = std::shared_ptr<source_row>;

struct source_transaction {
    lsn commit;
    lsn end;
    std::vector<row_pointer> rows;
    bool visible = false;  ///< committed: the server may send it
};

}  // namespace walrelay::simulation
