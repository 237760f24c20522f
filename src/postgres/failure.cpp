#include "failure.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <array>

#include "walrelay/core/escape.hpp"

namespace walrelay::postgres {

namespace {

constexpr std::size_t cause_limit_bytes = 600;

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string_view field(const pg_result* result, int code) {
    const char* const text = PQresultErrorField(result, code);
    return text == nullptr ? std::string_view{} : std::string_view{text};
}

/// What of a message is for a person: primary text, the detail where it can't quote a row's values,
/// and where it happened when that is the decoder.
std::string cause_of(const pg_result* result) {
    const std::string_view sqlstate = field(result, PG_DIAG_SQLSTATE);
    std::string cause{field(result, PG_DIAG_MESSAGE_PRIMARY)};
    if (cause.empty()) cause = PQresultErrorMessage(result);
    const std::string_view detail = field(result, PG_DIAG_MESSAGE_DETAIL);
    const bool may_quote_a_row = sqlstate.starts_with("22") || sqlstate.starts_with("23");
    if (!detail.empty() && !may_quote_a_row) cause.append(" (").append(detail).append(")");
    const std::string_view context = field(result, PG_DIAG_CONTEXT);
    if (contains(context, "output plugin")) cause.append(" [").append(context).append("]");
    return one_line(cause);
}

struct state_hint {
    std::string_view sqlstate;
    std::string_view hint;
};

constexpr std::array<state_hint, 20> hints{{
    {"28P01", "check user and password in source.conninfo, or the passfile that it names"},
    {"28000",
     "the server's pg_hba.conf must let this role into this database from this address; a "
     "logical replication connection matches the line of the database, not the keyword "
     "replication"},
    {"3D000", "check dbname in source.conninfo"},
    {"42501", "walrelay sql --apply grants what the relay needs"},
    {"53300", "raise max_connections, or the role's or database's CONNECTION LIMIT"},
    {"57P01",
     "an operator or a stop of the server ended the session; where a slot was being read, "
     "look at its wal_status in pg_replication_slots"},
    {"57P02", "another process of the server crashed; it is recovering"},
    {"57P03", "the server is starting, stopping or recovering; it is tried again"},
    {"57014", "the statement ran into statement_timeout or was cancelled"},
    {"55P03", "something else holds the lock: pg_locks and pg_stat_activity name it"},
    {"42P01", "walrelay sql --apply makes the tables"},
    {"3F000", "walrelay sql --apply makes the schema"},
    {"42883", "walrelay sql --apply makes the functions"},
    {"42703", "the walrelay schema is of another version: walrelay sql --apply"},
    {"25006", "the server is read-only: name the primary in source.conninfo"},
    {"53100", "the server's disk is full"},
    {"53200", "the server is out of memory"},
    {"08P01",
     "connect to Postgres itself, not through a pooler, and with nothing in between that "
     "changes bytes"},
    {"22021", "a value isn't valid in the database's encoding: the row can't be sent as UTF-8"},
    {"55006",
     "another process holds the slot: stop it, or wait until it ends; SELECT "
     "pg_terminate_backend(pid) ends it by force"},
}};

std::string hint_by_text(std::string_view sqlstate, std::string_view cause) {
    if (sqlstate == "53300" && contains(cause, "max_wal_senders")) {
        return "raise max_wal_senders (it takes a restart), or stop a replica that isn't needed";
    }
    const bool of_replication =  // "… walsender" before 16, "… WAL sender" since
        contains(cause, "walsender") || contains(cause, "WAL sender") ||
        contains(cause, "replication slot");
    if (sqlstate == "42501" && of_replication) {
        return "ALTER ROLE … REPLICATION for the user of source.conninfo";
    }
    if (sqlstate == "42704" && contains(cause, "publication")) {
        return "make the publication (walrelay sql --apply); one made later doesn't show the "
               "changes "
               "from before it, which the slot still holds";
    }
    if (sqlstate == "42704" && contains(cause, "replication slot")) {
        return "check source.slot; walrelay sql --apply makes a slot where there never was one";
    }
    if (contains(cause, "wal_level")) {
        return "set wal_level = logical in postgresql.conf and restart the server";
    }
    if (contains(cause, "not created in this database")) {
        return "check dbname in source.conninfo, or name a slot of this database in source.slot";
    }
    if (contains(cause, "invalidated") || contains(cause, "can no longer")) {
        return "the slot is lost: look at wal_status in pg_replication_slots and at "
               "max_slot_wal_keep_size; walrelay recover repairs";
    }
    if (contains(cause, "unsupported startup parameter")) {
        return "this looks like a pooler such as PgBouncer: source.conninfo must name Postgres "
               "itself";
    }
    return {};
}

/// For failures without a code: libpq's own texts.
std::string hint_without_code(std::string_view cause) {
    if (contains(cause, "certificate verify failed") || contains(cause, "root certificate")) {
        return "check sslrootcert in source.conninfo: it must hold the CA of the server's "
               "certificate";
    }
    if (contains(cause, "does not match host name")) {
        return "the server's certificate is for another name: use that name as host in "
               "source.conninfo";
    }
    if (contains(cause, "server does not support SSL")) {
        return "turn on ssl at the server, or lower sslmode in source.conninfo";
    }
    if (contains(cause, "session is read-only") || contains(cause, "in hot standby mode")) {
        return "this server is a standby or read-only: name the primary in source.conninfo";
    }
    if (contains(cause, "Connection refused") || contains(cause, "No such file")) {
        return "check host and port in source.conninfo, and that the server runs";
    }
    if (contains(cause, "fe_sendauth: no password") || contains(cause, "no password supplied")) {
        return "give password or passfile in source.conninfo";
    }
    return {};
}

/// Start of "28P01: text" after a severity and two spaces, as PQERRORS_VERBOSE writes it; npos if
/// there is none. The severity may be in the server's language.
std::size_t find_code(std::string_view text, std::size_t from) {
    for (std::size_t at = text.find(":  ", from); at != std::string_view::npos;
         at = text.find(":  ", at + 1)) {
        const std::string_view code = text.substr(at + 3, 7);
        const bool fits = code.size() == 7 && code.ends_with(": ") &&
                          std::all_of(code.begin(), code.begin() + 5, [](char c) {
                              return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
                          });
        if (fits) return at + 3;
    }
    return std::string_view::npos;
}

/// One attempt's line of libpq: 'connection to server at "h", port p failed: FATAL:  28P01: text'.
std::string cause_of_attempt(std::string_view line, std::string& sqlstate) {
    constexpr std::string_view failed = " failed: ";
    if (const std::size_t at = find_code(line, 0); at != std::string_view::npos) {
        sqlstate = std::string{line.substr(at, 5)};
        return std::string{line.substr(at + 7)};
    }
    if (line.starts_with("connection to server")) {
        if (const std::size_t at = line.find(failed); at != std::string_view::npos) {
            line.remove_prefix(at + failed.size());
        }
    }
    return std::string{line};
}

}  // namespace

std::string one_line(std::string_view text) {
    std::string line;
    for (const char c : text) {
        const bool blank = c == '\n' || c == '\t' || c == '\r' || c == ' ';
        if (!blank) {
            line += c;
        } else if (!line.empty() && line.back() != ' ') {
            line += ' ';
        }
    }
    while (!line.empty() && line.back() == ' ')
        line.pop_back();
    return printable(line, cause_limit_bytes);
}

std::string hint_for(std::string_view sqlstate, std::string_view cause) {
    if (std::string by_text = hint_by_text(sqlstate, cause); !by_text.empty()) return by_text;
    if (sqlstate.empty()) return hint_without_code(cause);
    const auto* const found = std::find_if(hints.begin(), hints.end(), [&](const state_hint& each) {
        return each.sqlstate == sqlstate;
    });
    return found == hints.end() ? std::string{} : std::string{found->hint};
}

sql_error lost(std::string operation, std::string object, std::string_view cause) {
    sql_error failure;
    failure.what.operation = std::move(operation);
    failure.what.object = std::move(object);
    failure.what.cause = one_line(cause);
    failure.what.hint = hint_without_code(failure.what.cause);
    failure.connection_lost = true;
    return failure;
}

sql_error server_error(std::string operation, std::string object, const pg_result* result,
                       const pg_conn* link) {
    sql_error failure;
    failure.what.operation = std::move(operation);
    failure.what.object = std::move(object);
    failure.what.cause = cause_of(result);
    failure.sqlstate = std::string{field(result, PG_DIAG_SQLSTATE)};
    failure.what.hint = hint_for(failure.sqlstate, failure.what.cause);
    if (failure.what.hint.empty()) {
        failure.what.hint = one_line(field(result, PG_DIAG_MESSAGE_HINT));
    }
    // After a FATAL the server closes, which libpq may not have seen yet.
    const std::string_view severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const bool fatal = severity == "FATAL" || severity == "PANIC";
    failure.connection_lost = fatal || PQstatus(link) != CONNECTION_OK;
    return failure;
}

sql_error connect_error(std::string object, const pg_conn* link) {
    sql_error failure;
    failure.connection_lost = true;
    std::string_view rest = PQerrorMessage(link);
    // sslmode=prefer tries twice, and both attempts are in the text: with and without TLS.
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (line.empty() || line.starts_with("LOCATION:")) continue;
        const std::string cause = one_line(cause_of_attempt(line, failure.sqlstate));
        if (contains(failure.what.cause, cause)) continue;
        if (!failure.what.cause.empty()) failure.what.cause += "; ";
        failure.what.cause += cause;
    }
    failure.what.operation = "connect to";
    failure.what.object = std::move(object);
    failure.what.hint = hint_for(failure.sqlstate, failure.what.cause);
    return failure;
}

void throw_exception_from_error(const sql_error& what, const boost::source_location&) {
    throw error_exception{what.what};
}

}  // namespace walrelay::postgres
