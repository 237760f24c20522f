// What the simulated server holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/core/stream_place.hpp"

namespace walrelay::simulation {

/// Identity of a row; in the order of the source, also across a failover.
using row_number = std::uint64_t;

/// A wish of an operator, in walrelay.redrive.
struct operator_mark {
    std::int64_t id = 0;
    std::string action;
    std::string sink;
    std::vector<std::int64_t> ids;
};

/// Of the messages that routes take.
inline constexpr std::string_view message_prefix = "shop";

/// As the column holds a key: k0 is the empty text, which is a key like any other.
[[nodiscard]] inline std::string_view column_of_key(std::string_view key) noexcept {
    return key == "k0" ? std::string_view{} : key;
}

struct source_row {
    enum class nature : std::uint8_t {
        good,
        refused,     ///< its first sink answers `event`, `refusals` times
        final,       ///< its first sink answers `event_final`
        batch,       ///< a batch that holds it is refused, also when it is alone
        unroutable,  ///< no route takes it
    };

    row_number number = 0;
    stream_place place;
    std::string key;  ///< empty: none
    std::string padding;
    std::size_t target = 0;          ///< topic or URL, in each of its sinks
    std::size_t route = 0;           ///< index into the world's routes
    std::vector<std::size_t> sinks;  ///< none: `to: none`, or no route
    config::error_policy policy = config::error_policy::park;
    nature what = nature::good;
    bool message = false;                ///< of pg_logical_emit_message, not of a table
    std::uint64_t refusals = 0;          ///< that are still to come
    bool lost = false;                   ///< of a kind that no route took when the world was made
    bool stepped_over = false;           ///< an operator has put a route to none before the others
    bool passed = false;                 ///< to be parked for want of a route, and its key went on
    std::set<std::size_t> out_of_order;  ///< sinks where it was parked, and its key went on
    std::optional<operator_mark> mark;

    [[nodiscard]] bool keyed() const noexcept { return !key.empty(); }

    /// That its sinks get; a message's payload is JSON, and stays as it stands.
    [[nodiscard]] std::string body() const { return message ? '"' + padding + '"' : padding; }
};

/// For the story.
std::ostream& operator<<(std::ostream& out, const source_row& row);

using row_pointer = std::shared_ptr<source_row>;

struct source_transaction {
    lsn commit;
    lsn end;
    std::vector<row_pointer> rows;
    bool lone = false;  ///< one message outside of transactions, which ends at `end`
};

}  // namespace walrelay::simulation
