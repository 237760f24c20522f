// What changes rows of walrelay.parked. The texts of a row are for people: where the database's
// encoding lacks a character, they are written without it rather than not at all.
#include "walrelay/postgres/aside_store.hpp"

#include <map>
#include <span>
#include <utility>

#include "aside_rows.hpp"
#include "cells.hpp"

namespace walrelay::postgres {

namespace asio = boost::asio;

namespace {

constexpr std::size_t most_rows_a_statement = 500;
constexpr std::size_t most_bytes_a_statement = 8 << 20;

/// $4 are the rows, $5 and $6 their messages. A subscript finds a message without copying it, where
/// unnest() would write all of them to a temporary file.
const std::string rows_given =
    std::string{"given as (select * from json_to_recordset($4::json) as r "} + json_columns + "), ";

constexpr const char* insert_given =
    "insert into walrelay.parked as p (slot, system_identifier, lsn, ordinal, message_number,"
    " origin, xid, committed_at, relation, message, lane, source_table, event_id, sink,"
    " destination, key, type, error, attempts, state, holds_key, put_epoch, redriven_at)"
    " select $1, $3::bigint, g.lsn, g.ordinal, g.message_number, g.origin, g.xid,"
    " timestamptz 'epoch' + g.us * interval '1 microsecond',"
    " ($5::bytea[])[g.n], ($6::bytea[])[g.n], g.lane, g.source_table, g.event_id, g.sink,"
    " g.destination, g.key, g.type, g.error, g.attempts, g.state, g.holds_key, $2::bigint, ";

/// Of a row that is there: the new value where it is read again after it was delivered, else its
/// own. What was put in this epoch is put again only because an answer was lost.
std::string taken(const std::string& column, const std::string& value) {
    return " " + column +
           " = case when p.state = 'delivered' and p.put_epoch is distinct from excluded.put_epoch"
           " then " +
           value + " else p." + column + " end";
}

const std::string put_statement =
    std::string{hold_record} + rows_given + "put as (" + insert_given +
    "null from given g, mine order by g.n"
    " on conflict on constraint parked_place do update set" +
    taken("state", "excluded.state") + "," + taken("error", "excluded.error") + "," +
    taken("attempts", "excluded.attempts") + "," + taken("holds_key", "excluded.holds_key") + "," +
    taken("put_epoch", "excluded.put_epoch") + "," + taken("updated_at", "clock_timestamp()") +
    " returning p.id, p.state, p.lsn, p.ordinal, p.message_number, p.sink)"
    " select put.id::text, put.state"
    " from given g join put using (lsn, ordinal, message_number, sink) order by g.n";

/// Whether the record is ours.
constexpr const char* answer_mine = " select count(*)::text from mine";

/// $4 are the changes.
const std::string changes_given =
    "given as (select * from json_to_recordset($4::json)"
    " as g (id bigint, state text, holds_key boolean, attempts bigint, error text)), ";

const std::string change_statement =
    std::string{hold_record} + changes_given +
    "changed as (update walrelay.parked p set state = g.state, holds_key = g.holds_key,"
    " attempts = greatest(p.attempts, g.attempts),"
    " error = case g.error when '' then p.error else g.error end, updated_at = clock_timestamp()"
    " from given g, mine where p.id = g.id and p.slot = $1 and p.system_identifier = $3::bigint"
    " and p.state = 'held')" +
    answer_mine;

const std::string redrive_statement =
    std::string{hold_record} +
    "touched as (update walrelay.parked p set state = 'held', attempts = 0,"
    " redriven_at = clock_timestamp(), updated_at = clock_timestamp() from mine"
    " where p.id = any ($4::bigint[]) and p.slot = $1 and p.system_identifier = $3::bigint"
    " and p.state in ('held', 'parked') and p.sink <> '')" +
    answer_mine;

const std::string drop_statement =
    std::string{hold_record} +
    "touched as (update walrelay.parked p set state = 'dropped', updated_at = clock_timestamp()"
    " from mine where p.id = any ($4::bigint[]) and p.slot = $1"
    " and p.system_identifier = $3::bigint and p.state in ('held', 'parked'))" +
    answer_mine;

/// $7 is the row that had no sink. It is closed first: when it doesn't wait any more, nothing is
/// put. A row of the same place that was given up stays so.
const std::string reroute_statement =
    std::string{hold_record} + rows_given +
    "closed as (update walrelay.parked p set state = 'delivered', updated_at = clock_timestamp()"
    " from mine where p.id = $7::bigint and p.slot = $1 and p.system_identifier = $3::bigint"
    " and p.state = 'parked' and p.sink = '' returning 1),"
    " touched as (" +
    insert_given +
    "clock_timestamp() from given g, closed order by g.n"
    " on conflict on constraint parked_place do update set state = 'held', attempts = 0,"
    " redriven_at = clock_timestamp(), updated_at = clock_timestamp() where p.state <> 'dropped')" +
    answer_mine;

const std::string note_statement =
    std::string{hold_record} + changes_given +
    "noted as (update walrelay.parked p set error = g.error, updated_at = clock_timestamp()"
    " from given g, mine where p.id = g.id and p.slot = $1 and p.system_identifier = $3::bigint"
    " and p.state = 'parked' and p.sink = '')" +
    answer_mine;

/// The server can't write a character of ours in the database's encoding.
bool lacks_character(const sql_error& failure) {
    return failure.sqlstate == "22P05" || failure.sqlstate == "22021";
}

/// Parameter $4 depends on the form.
template <class Rows, class Write>
asio::awaitable<sql_result<row_set>> ask_in_either_form(connection& link, statement& what,
                                                        const Rows& rows, Write write) {
    what.parameters[3].value = write(rows, text_form::as_it_is);
    auto answer = co_await link.query(what);
    if (answer || !lacks_character(answer.error())) co_return answer;
    what.parameters[3].value = write(rows, text_form::ascii);
    co_return co_await link.query(what);
}

/// Frees what is copied: a row may be large.
void add_messages(statement& what, std::span<aside_insert* const> rows) {
    std::vector<const std::string*> relations;
    std::vector<const std::string*> messages;
    for (const aside_insert* const one : rows) {
        relations.push_back(&one->messages.relation);
        messages.push_back(&one->messages.insert);
    }
    what.parameters.push_back({bytea_array(relations), true});
    what.parameters.push_back({bytea_array(messages), true});
    for (aside_insert* const one : rows)
        one->messages = {};
}

std::size_t size_of(const aside_insert& row) {
    return row.messages.relation.size() + row.messages.insert.size();
}

/// How many rows from `first` on go into one statement.
std::size_t batch_end(std::span<aside_insert* const> rows, std::size_t first) {
    std::size_t bytes = 0;
    std::size_t end = first;
    while (end < rows.size() && end - first < most_rows_a_statement) {
        bytes += size_of(*rows[end]);
        if (end > first && bytes > most_bytes_a_statement) break;
        ++end;
    }
    return end;
}

/// One statement can't name a row twice: the last one of each place and sink, and where each of
/// `rows` is among them.
struct distinct_rows {
    std::vector<aside_insert*> rows;
    std::vector<std::size_t> found_at;
};

distinct_rows distinct(std::vector<aside_insert>& rows) {
    distinct_rows out;
    std::map<std::pair<stream_place, std::string_view>, std::size_t> known;
    for (aside_insert& one : rows) {
        const auto [at, fresh] =
            known.try_emplace({one.position.place(), one.sink}, out.rows.size());
        if (fresh) {
            out.rows.push_back(&one);
        } else {
            out.rows[at->second] = &one;
        }
        out.found_at.push_back(at->second);
    }
    return out;
}

bool is_mine(const row_set& answer) {
    return answer.size() > 0 && answer.text(0, 0) != "0";
}

/// `sql` takes the ids as $4.
asio::awaitable<sql_result<bool>> touch(connection& link, aside_scope scope, const std::string& sql,
                                        std::vector<engine::aside_id> ids, const char* operation) {
    statement what{sql, fenced(scope), true};
    what.parameters.push_back({id_array(ids), false});
    const auto answer = co_await link.query(what);
    if (!answer) co_return about_slot(answer.error(), operation, scope);
    co_return is_mine(*answer);
}

}  // namespace

asio::awaitable<sql_result<std::optional<std::vector<engine::aside_put_answer>>>> put_aside(
    connection& link, aside_scope scope, std::vector<aside_insert> rows) {
    constexpr const char* operation = "set rows aside for";
    distinct_rows each = distinct(rows);
    const std::span all{each.rows};
    std::vector<engine::aside_put_answer> there;
    while (there.size() < all.size()) {
        const std::size_t first = there.size();
        const std::span batch = all.subspan(first, batch_end(all, first) - first);
        statement what{put_statement, fenced(scope), true};
        what.parameters.emplace_back();
        add_messages(what, batch);
        const std::vector<const aside_insert*> texts{batch.begin(), batch.end()};
        const auto answer = co_await ask_in_either_form(link, what, texts, rows_as_json);
        if (!answer) co_return about_slot(answer.error(), operation, scope);
        if (answer->size() == 0) co_return std::optional<std::vector<engine::aside_put_answer>>{};
        if (answer->size() != batch.size()) co_return not_understood(operation, scope);
        for (std::size_t row = 0; row < answer->size(); ++row) {
            const auto id = integer_cell<engine::aside_id>(*answer, row, 0);
            const auto state = state_of(answer->text(row, 1));
            if (!id || !state) co_return not_understood(operation, scope);
            there.push_back({*id, *state});
        }
    }
    std::vector<engine::aside_put_answer> answers;
    for (const std::size_t at : each.found_at)
        answers.push_back(there[at]);
    co_return std::optional{std::move(answers)};
}

asio::awaitable<sql_result<bool>> change_aside(connection& link, aside_scope scope,
                                               std::vector<engine::aside_change> rows) {
    std::map<engine::aside_id, const engine::aside_change*> last;
    for (const engine::aside_change& one : rows)
        last[one.id] = &one;
    std::vector<const engine::aside_change*> changes;
    for (const auto& [id, one] : last)
        changes.push_back(one);
    statement what{change_statement, fenced(scope), true};
    what.parameters.emplace_back();
    const auto answer = co_await ask_in_either_form(link, what, changes, changes_as_json);
    if (!answer) co_return about_slot(answer.error(), "note what became of rows of", scope);
    co_return is_mine(*answer);
}

asio::awaitable<sql_result<bool>> redrive_aside(connection& link, aside_scope scope,
                                                std::vector<engine::aside_id> ids) {
    return touch(link, std::move(scope), redrive_statement, std::move(ids),
                 "redrive the parked rows of");
}

asio::awaitable<sql_result<bool>> drop_aside(connection& link, aside_scope scope,
                                             std::vector<engine::aside_id> ids) {
    return touch(link, std::move(scope), drop_statement, std::move(ids), "drop parked rows of");
}

asio::awaitable<sql_result<bool>> reroute_aside(connection& link, aside_scope scope,
                                                engine::aside_id id, std::vector<aside_insert> rows,
                                                std::string error) {
    constexpr const char* operation = "route a parked row of";
    if (rows.empty()) {
        engine::aside_change note;
        note.id = id;
        note.reason = std::move(error);
        const std::vector<const engine::aside_change*> notes{&note};
        statement what{note_statement, fenced(scope), true};
        what.parameters.emplace_back();
        const auto answer = co_await ask_in_either_form(link, what, notes, changes_as_json);
        if (!answer) co_return about_slot(answer.error(), operation, scope);
        co_return is_mine(*answer);
    }
    distinct_rows each = distinct(rows);
    for (aside_insert* const one : each.rows)
        one->state = engine::aside_state::held;
    statement what{reroute_statement, fenced(scope), true};
    what.parameters.emplace_back();
    add_messages(what, each.rows);
    what.parameters.push_back({std::to_string(id), false});
    const std::vector<const aside_insert*> texts{each.rows.begin(), each.rows.end()};
    const auto answer = co_await ask_in_either_form(link, what, texts, rows_as_json);
    if (!answer) co_return about_slot(answer.error(), operation, scope);
    co_return is_mine(*answer);
}

}  // namespace walrelay::postgres
