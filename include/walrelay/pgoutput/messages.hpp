// The messages of pgoutput, protocol 1, as views into the frame that brought them.
//
// Source: PostgreSQL documentation, "Logical Replication Message Formats". Integers are big-endian,
// strings end with NUL, timestamps are microseconds since 2000-01-01 00:00 UTC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "walrelay/core/lsn.hpp"

namespace walrelay::pgoutput {

/// Microseconds since 2000-01-01 00:00 UTC, Postgres' epoch.
struct pg_time {
    std::int64_t microseconds = 0;

    /// Microseconds since 1970-01-01 00:00 UTC.
    [[nodiscard]] constexpr std::int64_t unix_microseconds() const noexcept {
        return microseconds + 946'684'800'000'000;
    }

    friend constexpr auto operator<=>(pg_time, pg_time) = default;
};

/// One column of a row. `text` points into the frame. Binary values are never asked for, so none
/// come.
struct value_view {
    enum class kind : std::uint8_t { null, unchanged_toast, text };

    kind what = kind::null;
    std::string_view text;  ///< the type's text output; empty unless what == kind::text
};

/// A row whose bytes the decoder has checked: walking it can't fail. Empty by default.
class tuple_view {
public:
    class iterator {
    public:
        explicit iterator(const std::byte* at) noexcept : at_{at} {}

        value_view operator*() const noexcept;
        iterator& operator++() noexcept;
        friend bool operator==(iterator, iterator) = default;

    private:
        const std::byte* at_;
    };

    tuple_view() = default;

    /// `columns` are exactly `count` encoded columns, as on the wire.
    tuple_view(std::uint16_t count, std::span<const std::byte> columns) noexcept
        : columns_{columns}, count_{count} {}

    [[nodiscard]] std::uint16_t size() const noexcept { return count_; }

    [[nodiscard]] iterator begin() const noexcept { return iterator{columns_.data()}; }

    [[nodiscard]] iterator end() const noexcept {
        return iterator{columns_.data() + columns_.size()};
    }

    /// The columns as on the wire.
    [[nodiscard]] std::span<const std::byte> encoded() const noexcept { return columns_; }

private:
    std::span<const std::byte> columns_;
    std::uint16_t count_ = 0;
};

struct begin {
    lsn commit_lsn;  ///< where the commit record starts (the protocol's final_lsn)
    pg_time commit_time;
    std::uint32_t xid = 0;
};

struct commit {
    lsn commit_lsn;
    lsn end_lsn;  ///< what is acknowledged: acknowledging commit_lsn brings the transaction again
    pg_time commit_time;
};

struct origin {
    lsn commit_lsn;  ///< on the node where the transaction came from
    std::string_view name;
};

struct column_view {
    bool key = false;  ///< part of the replica identity
    std::string_view name;
    std::uint32_t type_oid = 0;
    std::int32_t type_modifier = -1;
};

/// The columns of a Relation, checked by the decoder: walking them can't fail. Empty by default.
class column_list {
public:
    class iterator {
    public:
        explicit iterator(const std::byte* at) noexcept : at_{at} {}

        column_view operator*() const noexcept;
        iterator& operator++() noexcept;
        friend bool operator==(iterator, iterator) = default;

    private:
        const std::byte* at_;
    };

    column_list() = default;

    /// `columns` are exactly `count` encoded columns; only the decoder makes one.
    column_list(std::uint16_t count, std::span<const std::byte> columns) noexcept
        : columns_{columns}, count_{count} {}

    [[nodiscard]] std::uint16_t size() const noexcept { return count_; }

    [[nodiscard]] iterator begin() const noexcept { return iterator{columns_.data()}; }

    [[nodiscard]] iterator end() const noexcept {
        return iterator{columns_.data() + columns_.size()};
    }

private:
    std::span<const std::byte> columns_;
    std::uint16_t count_ = 0;
};

struct relation_view {
    std::uint32_t id = 0;
    std::string_view schema;  ///< "" on the wire means pg_catalog
    std::string_view name;
    char replica_identity = 'd';  ///< 'd' default, 'n' nothing, 'f' full, 'i' index
    column_list columns;
};

struct type {
    std::uint32_t oid = 0;
    std::string_view schema;
    std::string_view name;
};

struct insert {
    std::uint32_t relation_id = 0;
    tuple_view row;
};

struct update {
    std::uint32_t relation_id = 0;
    char old_kind = 0;  ///< 'K', 'O', or 0 when no old row was sent
    tuple_view old_row;
    tuple_view row;
};

struct remove {
    std::uint32_t relation_id = 0;
    char old_kind = 'K';
    tuple_view old_row;
};

struct truncate {
    std::uint8_t options = 0;                 ///< 1 CASCADE, 2 RESTART IDENTITY
    std::uint32_t count = 0;                  ///< of tables, at least 1
    std::span<const std::byte> relation_ids;  ///< four bytes each

    /// The id of table `index` < count.
    [[nodiscard]] std::uint32_t relation_id(std::uint32_t index) const noexcept;
};

/// pg_logical_emit_message. Outside a transaction when not `transactional`.
struct logical_message {
    bool transactional = false;
    lsn position;
    std::string_view prefix;
    std::span<const std::byte> content;
};

using message = std::variant<begin, commit, origin, relation_view, type, insert, update, remove,
                             truncate, logical_message>;

}  // namespace walrelay::pgoutput
