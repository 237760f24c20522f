// walrelay.parked: events that are set aside, durable before they count as resolved.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "walrelay/engine/set_aside.hpp"
#include "walrelay/event/record.hpp"
#include "walrelay/intake/row_reader.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

/// Whose rows they are. Everything that writes holds the progress record of this epoch until it is
/// committed, and changes nothing when the record has another one: then another relay has the slot,
/// has read these rows, or is about to.
struct aside_scope {
    std::string slot;
    std::string system_identifier;
    std::uint64_t epoch = 0;
};

/// What is known of an event when it is set aside.
struct aside_insert {
    event::row_position position;
    intake::row_messages messages;
    std::string table;  ///< schema.name or message:PREFIX
    std::string event_id;
    std::string sink;         ///< empty: no route took it
    std::string destination;  ///< topic, or path of a URL; empty where there is none
    std::optional<std::string> key;
    std::optional<std::string> type;
    std::optional<std::uint64_t> lane;  ///< hash of the key, as placements have it; none: no key
    std::string error;
    std::uint32_t attempts = 0;
    engine::aside_state state = engine::aside_state::parked;
    bool holds_key = false;
};

/// One answer a row, in their order: all are durable. A row that is there already keeps its state,
/// unless it was put in an earlier epoch and is `delivered`: then it was read again and takes the
/// new one. Put again in the same epoch, because an answer was lost, it keeps also that: an
/// operator may have had it sent since. Of rows of one place and sink the last counts. Nothing when
/// the epoch is another's. After an error some may be durable: put all again.
boost::asio::awaitable<sql_result<std::optional<std::vector<engine::aside_put_answer>>>> put_aside(
    connection& link, aside_scope scope, std::vector<aside_insert> rows);

/// Of rows that are still held; others stay as they are. Attempts are never lowered, and a reason
/// that is empty leaves the one that is there. False when the epoch is another's.
boost::asio::awaitable<sql_result<bool>> change_aside(connection& link, aside_scope scope,
                                                      std::vector<engine::aside_change> rows);

/// Which rows of the store belong together. Of a key: those that hold it (`redriven` false), or
/// those that are sent again beside it. Without a key: one row.
struct aside_lane {
    std::string sink;
    std::optional<std::uint64_t> lane;
    std::optional<engine::aside_id> id;
    bool redriven = false;
    std::uint32_t most_rows = 1;
};

using aside_loaded = intake::loaded_row;

/// The oldest rows that wait, lane by lane, in the order of each. All lanes together give at most
/// `most_bytes` of messages, but one row always, of the first lane that has any; a lane whose first
/// row finds no room gives that without its message, as `left`. What `blocks` comes without it too.
boost::asio::awaitable<sql_result<std::vector<aside_loaded>>> load_aside(
    connection& link, aside_scope scope, std::vector<aside_lane> lanes, std::uint64_t most_bytes);

/// A row that a mark concerns.
struct aside_touched {
    engine::aside_id id = 0;
    std::string sink;
    std::optional<std::uint64_t> lane;
    bool holds_key = false;
};

/// Rows of `ids` that are parked become held, those that are held stay so; both are marked as
/// redriven, and their attempts count from 0. Others, and those without a sink, stay. False when
/// the epoch is another's.
boost::asio::awaitable<sql_result<bool>> redrive_aside(connection& link, aside_scope scope,
                                                       std::vector<engine::aside_id> ids);

/// Rows of `ids` that are parked or held become dropped. False when the epoch is another's.
boost::asio::awaitable<sql_result<bool>> drop_aside(connection& link, aside_scope scope,
                                                    std::vector<engine::aside_id> ids);

/// All rows of `ids` that have a sink, whatever their state, and those that came of a row of `ids`
/// that had none: the lanes that a mark concerns, also when it is applied once more because an
/// answer was lost.
boost::asio::awaitable<sql_result<std::vector<aside_touched>>> marked_rows(
    connection& link, aside_scope scope, std::vector<engine::aside_id> ids);

/// A row that is parked without a sink.
struct aside_unrouted {
    engine::aside_id id = 0;
    intake::stored_row row;
    std::string fault;  ///< why it can't be read; then `row` is nothing
};

/// Those of `ids`, for today's routes, by ascending id: about `most_bytes` of messages, but one row
/// always. The rest is asked for with the ids behind the last one of the answer.
boost::asio::awaitable<sql_result<std::vector<aside_unrouted>>> load_unrouted(
    connection& link, aside_scope scope, std::vector<engine::aside_id> ids,
    std::uint64_t most_bytes = std::numeric_limits<std::int64_t>::max());

/// In one transaction: `rows` (one for each sink) are put as held and redriven, and `id`, which had
/// no sink, becomes delivered. A row of such a place and sink that is there already is sent again
/// as well, unless it is dropped. Without rows `error` is noted and `id` stays parked. Nothing is
/// done when `id` doesn't wait any more; false when the epoch is another's.
boost::asio::awaitable<sql_result<bool>> reroute_aside(connection& link, aside_scope scope,
                                                       engine::aside_id id,
                                                       std::vector<aside_insert> rows,
                                                       std::string error);

/// The newest mark that paused or resumed a sink.
struct pause_mark {
    std::string sink;
    std::int64_t mark = 0;
    bool paused = false;
};

/// Of each sink of this slot that was ever paused.
boost::asio::awaitable<sql_result<std::vector<pause_mark>>> read_pauses(connection& link,
                                                                        std::string slot);

/// What a relay must know when its stream starts.
struct aside_summary {
    struct waiting_lane {
        std::string sink;
        std::optional<std::uint64_t> lane;
        engine::aside_id id = 0;  ///< of a row without a key
        bool redriven = false;    ///< as in aside_lane
        bool waits_for_operator = false;
    };

    struct entry {
        stream_place place;
        std::string sink;
        engine::aside_state state = engine::aside_state::parked;
        bool holds_key = false;
    };

    std::vector<waiting_lane> lanes;
    std::vector<entry> entries;  ///< at or above `from`, ordered by place
};

/// Read in pages, so that no answer of the server is large. It costs the server about as much as
/// there are lanes and entries, however many rows wait in a lane.
boost::asio::awaitable<sql_result<aside_summary>> read_aside(connection& link, aside_scope scope,
                                                             lsn from);

}  // namespace walrelay::postgres
