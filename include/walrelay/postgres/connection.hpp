// One connection to Postgres on the relay's loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>

#include "walrelay/core/result.hpp"

struct pg_conn;
struct pg_result;

namespace walrelay::postgres {

/// What Postgres or the way to it answered.
struct sql_error {
    error what;
    std::string sqlstate;          ///< five characters; empty when no server answered
    bool connection_lost = false;  ///< the connection can't be used any more
};

[[noreturn]] void throw_exception_from_error(const sql_error& what,
                                             const boost::source_location& where);

template <class T>
using sql_result = boost::system::result<T, sql_error>;

/// Rows of an answer, in text format unless the statement wished another. The views live as long as
/// the object.
class row_set {
public:
    explicit row_set(pg_result* owned) noexcept;

    [[nodiscard]] std::size_t size() const noexcept;  ///< rows
    [[nodiscard]] std::size_t columns() const noexcept;
    /// Rows that an INSERT, UPDATE or DELETE touched.
    [[nodiscard]] std::size_t affected() const noexcept;
    [[nodiscard]] bool is_null(std::size_t row, std::size_t column) const;
    /// "" for NULL. Out of range throws std::out_of_range: that is a bug of ours.
    [[nodiscard]] std::string_view text(std::size_t row, std::size_t column) const;

    [[nodiscard]] pg_result* native() const noexcept { return rows_.get(); }

private:
    struct clear {
        void operator()(pg_result* rows) const noexcept;
    };

    std::unique_ptr<pg_result, clear> rows_;
};

/// A statement whose parameters or answer hold bytes.
struct statement {
    struct parameter {
        std::optional<std::string> value;  ///< none: NULL
        bool binary = false;               ///< in the binary format of its type, as for bytea
    };

    std::string sql;
    std::vector<parameter> parameters;
    /// Columns of the answer come in binary format: bytea as its bytes, text as it is. All other
    /// types are to be cast to text.
    bool binary_answer = false;
};

struct connect_options {
    std::string conninfo;  ///< libpq's; both forms. Never logged
    std::string application_name = "walrelay";
    bool replication = false;  ///< replication=database: only the simple protocol works on it
    std::chrono::milliseconds timeout{10'000};
};

/// libpq without blocking: names are resolved by Asio (hostaddr beside host; each address is an
/// attempt of its own with its share of the time; names that only a service file holds are left to
/// libpq), gssencmode is off, the socket that the loop watches is a dup of libpq's, TCP keepalives
/// are on. Every setting that could change a byte or a promise is pinned in the startup packet, so
/// ALTER ROLE, ALTER DATABASE and PGOPTIONS can't reach us: DateStyle, IntervalStyle, TimeZone,
/// extra_float_digits, bytea_output, lc_monetary, client_encoding UTF8, search_path pg_catalog,
/// standard_conforming_strings, client_min_messages, read-write, and on SQL connections
/// synchronous_commit=local, read committed, statement_timeout 30 s, lock_timeout 5 s (off on
/// replication connections). target_session_attrs is read-write unless the user set it.
class connection {
public:
    static boost::asio::awaitable<sql_result<std::unique_ptr<connection>>> open(
        boost::asio::any_io_executor loop, connect_options options);

    ~connection();
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    /// One statement; parameters are text or NULL. Without parameters the simple protocol is used,
    /// so a script of several statements is allowed and the last answer is given. A statement that
    /// doesn't answer within `timeout` loses the connection.
    boost::asio::awaitable<sql_result<row_set>> query(
        std::string sql, std::vector<std::optional<std::string>> parameters = {},
        std::chrono::milliseconds timeout = std::chrono::seconds{40});

    /// The same, with the extended protocol in any case. `what` must stay until it is answered.
    boost::asio::awaitable<sql_result<row_set>> query(
        const statement& what, std::chrono::milliseconds timeout = std::chrono::seconds{40});

    [[nodiscard]] int server_version() const noexcept;  ///< 150018
    [[nodiscard]] int backend_pid() const noexcept;
    /// "host 127.0.0.1 port 5432" or "socket /run/postgresql": for messages.
    [[nodiscard]] const std::string& where() const noexcept;
    [[nodiscard]] pg_conn* native() const noexcept;

    struct state;  ///< libpq handle and the watched descriptor; for replication_stream

    [[nodiscard]] state& internals() noexcept { return *state_; }

private:
    explicit connection(std::unique_ptr<state> inside) noexcept;
    boost::asio::awaitable<sql_result<row_set>> answer(const statement& what, bool simple,
                                                       std::chrono::milliseconds timeout);
    std::unique_ptr<state> state_;
};

}  // namespace walrelay::postgres
