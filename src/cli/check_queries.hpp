// The questions that `check` and `sql --apply` ask a server.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "facts.hpp"
#include "walrelay/config/model.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::cli {

/// Everything but replication_error, over one SQL connection. Fails only where the connection does.
boost::asio::awaitable<postgres::sql_result<facts>> gather_facts(postgres::connection& link,
                                                                 const config::model& model);

/// Opens a replication connection and closes it; the error when that is refused.
boost::asio::awaitable<std::optional<postgres::sql_error>> try_replication(
    boost::asio::any_io_executor loop, std::string conninfo);

/// The row of walrelay.progress for the slot; nothing without one, without the table, and without
/// the right to read it.
boost::asio::awaitable<postgres::sql_result<std::optional<record_facts>>> read_record(
    postgres::connection& link, std::string slot);

/// Who is writing in any database for at least so long: a transaction that holds WAL back, and that
/// a new slot waits for. The oldest first, ten at most of each kind.
boost::asio::awaitable<postgres::sql_result<std::vector<old_transaction>>> read_writers(
    postgres::connection& link, int at_least_seconds);

}  // namespace walrelay::cli
