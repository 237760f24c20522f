#include "walrelay/postgres/connection.hpp"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <charconv>
#include <deque>
#include <limits>
#include <stdexcept>

#include "connection_state.hpp"
#include "conninfo.hpp"
#include "failure.hpp"

namespace walrelay::postgres {

namespace asio = boost::asio;

namespace {

using clock = std::chrono::steady_clock;
using watched_socket = asio::posix::stream_descriptor;

/// What asio's resolver, which can't be interrupted, leaves for whoever still waits.
struct resolution {
    resolution(const asio::any_io_executor& loop, time_point deadline)
        : resolver{loop}, answered{loop, deadline} {}

    asio::ip::tcp::resolver resolver;
    asio::steady_timer answered;  ///< cancelled by the answer
    boost::system::error_code failure = asio::error::timed_out;
    std::vector<std::string> addresses;
};

/// The addresses of a name, looked up in asio's own thread: libpq would block the loop.
asio::awaitable<sql_result<std::vector<std::string>>> resolve(asio::any_io_executor loop,
                                                              endpoint target,
                                                              time_point deadline) {
    boost::system::error_code not_numeric;
    asio::ip::make_address(target.host, not_numeric);
    if (!not_numeric) co_return std::vector<std::string>{target.host};

    const auto found = std::make_shared<resolution>(loop, deadline);
    const auto take = [found](const boost::system::error_code& failure, const auto& answers) {
        found->failure = failure;
        for (const auto& each : answers) {
            std::string address = each.endpoint().address().to_string();
            const auto& known = found->addresses;
            if (std::find(known.begin(), known.end(), address) == known.end()) {
                found->addresses.push_back(std::move(address));
            }
        }
        found->answered.cancel();
    };
    try {
        found->resolver.async_resolve(target.host, "", take);
    } catch (const boost::system::system_error& refused) {
        // Its thread, which the system may not grant.
        co_return lost("resolve", target.where(), refused.code().message());
    }
    boost::system::error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    co_await found->answered.async_wait(token);
    if (found->failure || found->addresses.empty()) {
        sql_error failure = lost("resolve", target.where(), found->failure.message());
        failure.what.hint = "check host in source.conninfo, and the name service of this machine";
        co_return failure;
    }
    co_return found->addresses;
}

link_handle start_connecting(const conninfo& info, const endpoint& target) {
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    const auto add = [&](const char* keyword, const std::string& value) {
        keywords.push_back(keyword);
        values.push_back(value.c_str());
    };
    for (const auto& [keyword, value] : info.settings)
        add(keyword.c_str(), value);
    if (!target.host.empty()) add("host", target.host);
    if (!target.address.empty()) add("hostaddr", target.address);
    if (!target.port.empty()) add("port", target.port);
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    return link_handle{PQconnectStartParams(keywords.data(), values.data(), 0)};
}

/// Hands the server's notices to the state; libpq would write them to stderr.
void receive_notice(void* context, const PGresult* notice) {
    const auto& inside = *static_cast<connection::state*>(context);
    if (!inside.on_notice) return;
    const char* const severity = PQresultErrorField(notice, PG_DIAG_SEVERITY);
    const char* const text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    const char* const detail = PQresultErrorField(notice, PG_DIAG_MESSAGE_DETAIL);
    std::string line = severity == nullptr ? "NOTICE" : severity;
    line.append(": ").append(text == nullptr ? "" : text);
    if (detail != nullptr) line.append(" (").append(detail).append(")");
    inside.on_notice(one_line(line));
}

sql_error out_of_time(const endpoint& target) {
    sql_error failure = lost("connect to", target.where(), "no answer in time; given up");
    failure.what.hint = "check host and port in source.conninfo, firewalls, and connect_timeout";
    return failure;
}

/// One attempt at one address.
asio::awaitable<sql_result<std::unique_ptr<connection::state>>> connect_once(
    asio::any_io_executor loop, const conninfo& info, endpoint target, time_point deadline) {
    auto inside = std::make_unique<connection::state>(loop);
    inside->where = target.where();
    inside->link = start_connecting(info, target);
    PGconn* const link = inside->link.get();
    if (link == nullptr) co_return lost("connect to", target.where(), "out of memory");
    PQsetNoticeReceiver(link, receive_notice, inside.get());
    PQsetErrorVerbosity(link, PQERRORS_VERBOSE);

    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    if (PQstatus(link) == CONNECTION_BAD) step = PGRES_POLLING_FAILED;
    while (step != PGRES_POLLING_OK) {
        if (step == PGRES_POLLING_FAILED) co_return connect_error(target.where(), link);
        // libpq may have opened another socket since the last step: watch it afresh each time.
        watched_socket socket{loop};
        const int copy = duplicate(PQsocket(link));
        if (copy < 0) co_return lost("connect to", target.where(), "out of file descriptors");
        socket.assign(copy);
        const auto what =
            step == PGRES_POLLING_READING ? watched_socket::wait_read : watched_socket::wait_write;
        const bool ready = co_await wait_for_socket(socket, what, deadline);
        if (!ready) co_return out_of_time(target);
        step = PQconnectPoll(link);
    }
    PQsetErrorVerbosity(link, PQERRORS_DEFAULT);
    PQsetnonblocking(link, 1);
    if (!inside->watch_socket()) {
        co_return lost("connect to", target.where(), "out of file descriptors");
    }
    const char* const host = PQhost(link);
    if (target.is_socket() && host != nullptr) inside->where = std::string{"socket "} + host;
    co_return std::move(inside);
}

/// What a start-up packet can't pin: settings that only newer servers know, and those that libpq
/// itself sends after ours, from PGDATESTYLE and PGTZ.
std::string settings_after_connecting(const PGconn* link) {
    std::string sql;
    const auto differs = [&](const char* name, std::string_view wanted) {
        const char* const value = PQparameterStatus(link, name);
        return value != nullptr && wanted != value;
    };
    if (differs("DateStyle", "ISO, MDY")) sql += "SET datestyle = 'ISO, MDY';";
    if (differs("TimeZone", "UTC")) sql += "SET timezone = 'UTC';";
    if (PQserverVersion(link) >= 170000) sql += "SET transaction_timeout = 0;";
    return sql;
}

/// After these the next host of a list is asked: nobody answered, or the wrong kind of server.
bool worth_another_host(const sql_error& failure) {
    return failure.sqlstate.empty() || failure.sqlstate == "57P03";
}

/// The last failure, with what the hosts before it answered.
sql_error after_others(const sql_error& before, sql_error last) {
    if (before.what.cause.empty()) return last;
    const std::string& first = before.what.object;
    last.what.cause = (first.empty() ? "" : first + ": ") + before.what.cause + "; " +
                      last.what.object + ": " + last.what.cause;
    last.what.object.clear();
    last.what.operation = "connect";
    return last;
}

std::chrono::seconds own_connect_timeout(const conninfo& info) {
    const auto found = info.settings.find("connect_timeout");
    int seconds = 0;
    if (found != info.settings.end()) {
        const std::string& text = found->second;
        std::from_chars(text.data(), text.data() + text.size(), seconds);
    }
    return std::chrono::seconds{std::max(seconds, 0)};
}

}  // namespace

connection::connection(std::unique_ptr<state> inside) noexcept : state_{std::move(inside)} {}

connection::~connection() = default;

asio::awaitable<sql_result<std::unique_ptr<connection>>> connection::open(
    asio::any_io_executor loop, connect_options options) {
    const time_point deadline = clock::now() + options.timeout;
    const sql_result<conninfo> read = read_conninfo(options);
    if (!read) co_return read.error();
    const conninfo& info = *read;
    const auto limit = own_connect_timeout(info);

    // libpq would stay with the first of several hosts until it answers: asynchronously it has no
    // clock. So each address is an attempt of its own, with its share of the time.
    std::deque<endpoint> ways{info.endpoints.begin(), info.endpoints.end()};
    sql_error failure;
    while (!ways.empty()) {
        const endpoint target = std::move(ways.front());
        ways.pop_front();
        const time_point now = clock::now();
        time_point until = now + (deadline - now) / static_cast<int>(ways.size() + 1);
        if (limit.count() > 0) until = std::min<time_point>(until, now + limit);
        sql_error attempt;
        if (target.needs_resolving()) {
            const auto addresses = co_await resolve(loop, target, until);
            if (addresses) {
                for (auto each = addresses->rbegin(); each != addresses->rend(); ++each) {
                    ways.push_front(endpoint{target.host, *each, target.port});
                }
                continue;
            }
            attempt = addresses.error();
        } else {
            auto made = co_await connect_once(loop, info, target, until);
            if (made) {
                (*made)->replication = options.replication;
                std::unique_ptr<connection> link{new connection{std::move(*made)}};
                std::string sql = settings_after_connecting(link->native());
                if (!sql.empty()) {
                    std::vector<std::optional<std::string>> none;
                    const auto answer = co_await link->query(std::move(sql), std::move(none));
                    if (!answer) co_return answer.error();
                }
                co_return std::move(link);
            }
            attempt = made.error();
        }
        failure = after_others(failure, std::move(attempt));
        if (!worth_another_host(failure)) break;
    }
    co_return failure;
}

namespace {

/// Marks the connection as busy for as long as it lives.
class turn {
public:
    explicit turn(const connection::state& inside) : busy_{inside.busy} {
        if (*busy_) throw std::logic_error{"postgres::connection: two queries at once"};
        *busy_ = true;
    }

    ~turn() { *busy_ = false; }

    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

private:
    std::shared_ptr<bool> busy_;
};

int send(PGconn* link, const statement& what, bool simple) {
    if (simple) return PQsendQuery(link, what.sql.c_str());
    const std::size_t count = what.parameters.size();
    std::vector<const char*> values(count);
    std::vector<int> lengths(count);  // of binary ones; text ends with its NUL
    std::vector<int> formats(count);
    for (std::size_t i = 0; i < count; ++i) {
        const statement::parameter& one = what.parameters[i];
        if (!one.value) continue;
        if (one.value->size() > std::numeric_limits<int>::max())
            throw std::length_error{"postgres::connection: a parameter of more than 2 GiB"};
        values[i] = one.value->c_str();
        lengths[i] = static_cast<int>(one.value->size());
        formats[i] = one.binary ? 1 : 0;
    }
    return PQsendQueryParams(link, what.sql.c_str(), static_cast<int>(count), nullptr,
                             values.data(), lengths.data(), formats.data(),
                             what.binary_answer ? 1 : 0);
}

}  // namespace

asio::awaitable<sql_result<row_set>> connection::query(
    std::string sql, std::vector<std::optional<std::string>> parameters,
    std::chrono::milliseconds timeout) {
    statement what;
    what.sql = std::move(sql);
    for (auto& each : parameters)
        what.parameters.push_back({std::move(each), false});
    const bool simple = what.parameters.empty();
    co_return co_await answer(what, simple, timeout);
}

asio::awaitable<sql_result<row_set>> connection::query(const statement& what,
                                                       std::chrono::milliseconds timeout) {
    return answer(what, false, timeout);
}

asio::awaitable<sql_result<row_set>> connection::answer(const statement& what, bool simple,
                                                        std::chrono::milliseconds timeout) {
    const turn mine{*state_};
    PGconn* const link = native();
    const time_point deadline = clock::now() + timeout;
    const auto gone = [&](std::string_view cause) {
        state_->socket.close();
        state_->link.reset();
        return lost("query", state_->where, cause);
    };
    if (link == nullptr) co_return gone("the connection is lost");
    if (state_->replication && !simple) {
        throw std::logic_error{"postgres::connection: parameters on a replication connection"};
    }
    if (send(link, what, simple) != 1) co_return gone(PQerrorMessage(link));
    for (int left = PQflush(link); left != 0; left = PQflush(link)) {
        if (left < 0) break;  // the reason is among the results
        const bool ready =
            co_await wait_for_socket(state_->socket, watched_socket::wait_write, deadline);
        if (!ready) co_return gone("the server doesn't take the statement; given up");
    }

    result_handle last;
    for (;;) {
        bool readable = true;
        while (readable && PQisBusy(link) == 1) {
            const bool ready =
                co_await wait_for_socket(state_->socket, watched_socket::wait_read, deadline);
            if (!ready) co_return gone("no answer in time; the connection is closed");
            readable = PQconsumeInput(link) == 1;  // else PQgetResult knows why, and doesn't block
        }
        result_handle next{PQgetResult(link)};
        if (!next) break;
        const ExecStatusType status = PQresultStatus(next.get());
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            co_return gone("COPY isn't possible here");
        }
        const bool failed_before = last && PQresultStatus(last.get()) == PGRES_FATAL_ERROR;
        if (!failed_before) last = std::move(next);
    }
    if (!last) co_return gone(PQerrorMessage(link));
    const ExecStatusType status = PQresultStatus(last.get());
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
        sql_error failure = server_error("query", state_->where, last.get(), link);
        if (failure.connection_lost) {
            state_->socket.close();
            state_->link.reset();
        }
        co_return failure;
    }
    co_return row_set{last.release()};
}

int connection::server_version() const noexcept {
    return PQserverVersion(native());
}

int connection::backend_pid() const noexcept {
    return PQbackendPID(native());
}

const std::string& connection::where() const noexcept {
    return state_->where;
}

pg_conn* connection::native() const noexcept {
    return state_->link.get();
}

}  // namespace walrelay::postgres
