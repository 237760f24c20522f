// Rows of walrelay.parked on their way to the server and back. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/postgres/aside_store.hpp"

namespace walrelay::postgres {

/// The beginning of a statement that writes: holds the progress record, $1 being its slot and $2
/// its epoch, until the end of the transaction. Whoever draws the next epoch waits for that.
inline constexpr const char* hold_record =
    "with mine as materialized ("
    "select 1 from walrelay.progress where slot = $1 and epoch = $2::bigint for share), ";

/// $1, $2 and $3 of such a statement: slot, epoch and system identifier.
[[nodiscard]] std::vector<statement::parameter> fenced(const aside_scope& scope);

/// Names what was tried, in place of "query" and the host.
[[nodiscard]] sql_error about_slot(sql_error failure, const char* operation,
                                   const aside_scope& scope);

/// An answer that isn't of the known form.
[[nodiscard]] sql_error not_understood(const char* operation, const aside_scope& scope);

[[nodiscard]] const char* to_text(engine::aside_state state) noexcept;
[[nodiscard]] std::optional<engine::aside_state> state_of(std::string_view text) noexcept;

/// How texts that are only for people are written. A database of another encoding than UTF-8 has
/// no place for every character.
enum class text_form : std::uint8_t { as_it_is, ascii };

/// The rows but for their messages as a JSON array of objects with the columns' names, `n` counting
/// from 1; what json_to_recordset() takes. NUL, which the server can't store, becomes U+FFFD.
[[nodiscard]] std::string rows_as_json(std::span<const aside_insert* const> rows, text_form form);

/// The columns of rows_as_json() for json_to_recordset().
inline constexpr const char* json_columns =
    "(n integer, lsn pg_lsn, ordinal integer, message_number bigint, origin text, xid bigint,"
    " us bigint, lane bigint, source_table text, event_id text, sink text, destination text,"
    " key text, type text, error text, attempts bigint, state text, holds_key boolean)";

[[nodiscard]] std::string changes_as_json(std::span<const engine::aside_change* const> rows,
                                          text_form form);
[[nodiscard]] std::string lanes_as_json(std::span<const aside_lane> lanes);

/// A bytea[] in binary format.
[[nodiscard]] std::string bytea_array(std::span<const std::string* const> values);

/// A bigint[] as text.
[[nodiscard]] std::string id_array(std::span<const engine::aside_id> ids);

/// `stored_columns` of an answer in binary format, from column `first` on, as a row to be read.
inline constexpr const char* stored_columns =
    "p.lsn::text, p.ordinal::text, p.message_number::text, p.origin, p.xid::text,"
    " case when isfinite(p.committed_at)"
    " then (extract(epoch from p.committed_at) * 1000000)::bigint::text end, p.relation";
inline constexpr std::size_t stored_column_count = 7;

/// Without `message`. An error when a column isn't as it was written: that is the row's own, and
/// concerns no other.
[[nodiscard]] result<intake::stored_row> stored_row_of(const row_set& rows, std::size_t row,
                                                       std::size_t first);

void take_message(intake::stored_row& row, std::string_view message);

/// Hashes are stored as the signed number of the same bits.
[[nodiscard]] std::optional<std::uint64_t> lane_cell(const row_set& rows, std::size_t row,
                                                     std::size_t column);

}  // namespace walrelay::postgres
