// Frames of one replication connection to what the engine is told: the order of messages is
// checked, rows are tied to their Relation and numbered.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>

#include "walrelay/pgoutput/copy_frame.hpp"
#include "walrelay/pgoutput/relation.hpp"

namespace walrelay::pgoutput {

/// The transaction that is being read. `commit_lsn` is known from Begin on, so rows can be sent on
/// before their Commit arrives.
struct transaction {
    lsn commit_lsn;
    pg_time commit_time;
    std::uint32_t xid = 0;

    friend bool operator==(const transaction&, const transaction&) = default;
};

struct transaction_began {
    transaction opened;
};

/// An INSERT. `row` points into the frame.
struct row_inserted {
    std::shared_ptr<const relation> const* table = nullptr;  ///< valid until the next read()
    tuple_view row;
    std::uint32_t ordinal = 0;  ///< of the inserts in this transaction, from 0
};

/// An UPDATE, DELETE or TRUNCATE of a captured table: never delivered, told so that it can be
/// logged.
struct change_ignored {
    enum class kind : std::uint8_t { update, remove, truncate };
    kind what = kind::update;
    std::shared_ptr<const relation> const* table = nullptr;  ///< of a TRUNCATE: its first table
};

struct transaction_committed {
    lsn end_lsn;
};

/// A new version of a table; rows of it may follow.
struct relation_changed {
    std::shared_ptr<const relation> const* table = nullptr;
};

/// pg_logical_emit_message; outside a transaction it is a unit of its own that ends at `position`.
struct message_emitted {
    bool transactional = false;
    lsn position;
    std::string_view prefix;
    std::span<const std::byte> content;
};

struct nothing_new {};  ///< Type and Origin

using stream_event =
    std::variant<nothing_new, transaction_began, row_inserted, change_ignored,
                 transaction_committed, relation_changed, message_emitted, keepalive>;

/// Pure. One for each connection: the protocol starts anew with each START_REPLICATION.
/// After an error the reader must be thrown away with its connection.
class stream_reader {
public:
    /// The views in the answer live as long as `payload` (one CopyData payload).
    [[nodiscard]] decoded<stream_event> read(std::span<const std::byte> payload);

    /// Between Begin and Commit.
    [[nodiscard]] const std::optional<transaction>& open_transaction() const noexcept {
        return open_;
    }

    /// Inserts of the open transaction, or of the last one, that were read.
    [[nodiscard]] std::uint32_t inserts() const noexcept { return next_ordinal_; }

    /// End of the last unit that was read (a commit, or a message outside a transaction), 0 before
    /// the first. Tells where a protocol_error happened.
    [[nodiscard]] lsn last_end() const noexcept { return last_end_; }

private:
    using answer = decoded<stream_event>;
    using table_pointer = const std::shared_ptr<const relation>*;

    answer on(const begin& opened);
    answer on(const commit& closed);
    answer on(const origin& from);
    answer on(const relation_view& described);
    answer on(const type& described);
    answer on(const insert& change);
    answer on(const update& change);
    answer on(const remove& change);
    answer on(const truncate& change);
    answer on(const logical_message& emitted);

    /// The table of a row; nullptr outside a transaction and before its Relation.
    [[nodiscard]] table_pointer table_of(std::uint32_t relation_id) const noexcept;
    [[nodiscard]] protocol_error no_table(char tag) const noexcept;

    relation_cache relations_;
    std::optional<transaction> open_;
    std::uint32_t next_ordinal_ = 0;
    lsn last_end_;
};

}  // namespace walrelay::pgoutput
