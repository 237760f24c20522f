#include "walrelay/intake/arrival.hpp"

#include "walrelay/core/escape.hpp"

namespace walrelay::intake {

event::row_position position_of(const pgoutput::message_emitted& message,
                                const pgoutput::stream_reader& reader, std::uint32_t ordinal) {
    using origin = event::row_position::origin;
    event::row_position position;
    if (message.transactional) {
        position = position_of(*reader.open_transaction(), ordinal);
        position.what = origin::message;
        position.rows_before = reader.inserts();
    } else {
        position.commit_lsn = message.position;
        position.what = origin::lone_message;
    }
    return position;
}

std::optional<std::string> size_fault(std::size_t bytes, std::uint64_t limit_bytes) {
    if (bytes <= limit_bytes) return std::nullopt;
    return "it has " + std::to_string(bytes) + " bytes, limits.event_bytes is " +
           std::to_string(limit_bytes) + ". Raise it and reload the file (SIGHUP). " +
           step_over_mend;
}

std::string unmapped_fault(const std::string& broken) {
    return broken +
           ". Rows keep the columns that they were written with: correct the route and reload the "
           "file (SIGHUP), or give these rows up with a route `to: none` as the table's only one";
}

std::string no_route_fault(const event::table_plan& plan, event::row_position::origin what) {
    std::string text =
        "no route takes it; add one and reload the file by SIGHUP (`to: none` discards)";
    if (what == event::row_position::origin::row) {
        text +=
            ". ALTER PUBLICATION … DROP TABLE " + printable(plan.table()) + " keeps later rows out";
    }
    return text;
}

}  // namespace walrelay::intake
