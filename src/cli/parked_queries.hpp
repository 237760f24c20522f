// The questions that the commands ask about what is set aside. Errors are the connection's or the
// server's, with the fix where there is one.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parked_facts.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::cli {

boost::asio::awaitable<postgres::sql_result<parked_list>> read_parked_list(
    postgres::connection& link, const std::string& slot, const parked_list_options& what);

/// How many rows of the slot wait, by state and sink.
boost::asio::awaitable<postgres::sql_result<std::vector<parked_count>>> count_parked(
    postgres::connection& link, const std::string& slot);

/// The sinks whose newest mark is a pause.
boost::asio::awaitable<postgres::sql_result<std::vector<std::string>>> read_paused(
    postgres::connection& link, const std::string& slot);

/// The row, whatever its slot is; nothing where there is none.
boost::asio::awaitable<postgres::sql_result<std::optional<parked_details>>> read_parked(
    postgres::connection& link, std::int64_t id);

/// Those of `ids` that don't wait in the slot.
boost::asio::awaitable<postgres::sql_result<std::vector<parked_misfit>>> find_misfits(
    postgres::connection& link, const std::string& slot, const std::vector<std::int64_t>& ids);

/// Writes the marks, and answers for how many rows.
boost::asio::awaitable<postgres::sql_result<std::uint64_t>> write_marks(
    postgres::connection& link, const std::string& slot, const parked_mark_options& what);

boost::asio::awaitable<postgres::sql_result<void>> write_pause(postgres::connection& link,
                                                               const std::string& slot,
                                                               const pause_options& what);

/// One of the publications sends the marks. Without it they would never reach a relay.
boost::asio::awaitable<postgres::sql_result<bool>> marks_are_published(
    postgres::connection& link, const std::vector<std::string>& publications);

}  // namespace walrelay::cli
