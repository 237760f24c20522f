// How libpq's and the server's complaints become sql_error. Private to this folder.
#pragma once

#include <string>
#include <string_view>

#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

/// `text` in one printable line: libpq's messages have newlines and tabs inside.
std::string one_line(std::string_view text);

/// The option, setting or SQL that mends what `sqlstate` says; empty when there is none. `cause`
/// tells apart what shares a code.
std::string hint_for(std::string_view sqlstate, std::string_view cause);

/// No server answered, or not as one: no sqlstate, the connection is gone.
sql_error lost(std::string operation, std::string object, std::string_view cause);

/// From a PGresult that is an error. `link` tells whether the connection survived it.
sql_error server_error(std::string operation, std::string object, const pg_result* result,
                       const pg_conn* link);

/// From a PQconnectPoll that failed on a handle with PQERRORS_VERBOSE: only there libpq hands out
/// the SQLSTATE of a refused start-up, inside the text.
sql_error connect_error(std::string object, const pg_conn* link);

}  // namespace walrelay::postgres
