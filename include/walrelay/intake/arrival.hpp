// What is said of a row or message before any sink sees it: the same by the relay and by `tail`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "walrelay/event/router.hpp"
#include "walrelay/pgoutput/stream_reader.hpp"

namespace walrelay::intake {

[[nodiscard]] inline event::row_position position_of(const pgoutput::transaction& opened,
                                                     std::uint32_t ordinal) {
    return {opened.commit_lsn, opened.commit_time.unix_microseconds(), opened.xid, ordinal};
}

/// Of a message that was just read. `ordinal` counts those of its transaction, if it has one.
[[nodiscard]] event::row_position position_of(const pgoutput::message_emitted& message,
                                              const pgoutput::stream_reader& reader,
                                              std::uint32_t ordinal);

/// Why so many bytes of a row or message can't become an event, if they can't.
[[nodiscard]] std::optional<std::string> size_fault(std::size_t bytes, std::uint64_t limit_bytes);

/// Of a row whose table the routes don't fit (any more).
[[nodiscard]] std::string unmapped_fault(const std::string& broken);

/// How an operator gives a row up.
inline constexpr const char* step_over_mend =
    "To step over it, put a route for it before the others, with `where` and `to: none`, and "
    "reload the file (SIGHUP)";

/// Of a row or message that no route takes: both mends.
[[nodiscard]] std::string no_route_fault(const event::table_plan& plan,
                                         event::row_position::origin what);

}  // namespace walrelay::intake
