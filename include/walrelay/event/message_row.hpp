// A message of pg_logical_emit_message as a row of the outbox's shape, so that routes, templates
// and bodies are the same for both.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "walrelay/event/record.hpp"
#include "walrelay/pgoutput/relation.hpp"

namespace walrelay::event {

/// The table that such rows belong to: named "message:PREFIX", without a schema, with the columns
/// id, topic, key, type, payload, raw, headers.
[[nodiscard]] std::shared_ptr<const pgoutput::relation> message_relation(std::string_view prefix);

/// At most the bytes of the message that such a row was made of: of a raw body its own, of one that
/// was taken apart its values.
[[nodiscard]] std::size_t content_bytes(const pgoutput::tuple_view& row) noexcept;

/// Owns the bytes of its row, which stay where they are when it is moved.
///
/// A JSON object that has no other members than id, topic, key, type, headers and payload, each at
/// most once, is taken apart when topic is a string, id, key and type are strings, and headers is
/// an object (what walrelay.emit_wal writes). Payload keeps its text as it stands. A null is NULL
/// for each but topic, also for payload, as walrelay.emit_wal can't tell the two apart. Any other
/// content is the `raw` body as it is, and all else is NULL. A message without an id of its own
/// gets one of its position: "<LSN>-<µs>-m<ordinal>", outside a transaction "<LSN>-m".
class message_row {
public:
    message_row(std::span<const std::byte> content, const row_position& position);

    [[nodiscard]] pgoutput::tuple_view row() const noexcept;

    /// Gives the bytes away; views of row() stay good as long as they live.
    [[nodiscard]] std::unique_ptr<std::byte[]> release() noexcept { return std::move(bytes_); }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = 0;
};

}  // namespace walrelay::event
