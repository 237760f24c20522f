// The headers of a record.
#pragma once

#include <cstddef>

#include "handles.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::sink::kafka {

/// In this order: `id`, `type`, the row's own (a JSON null is a null value), `content-type` unless
/// the row has its own, and with `metadata` walrelay-lsn, -seq, -xid, -table, -epoch. Last in the
/// list is what Java's lastHeader() finds, so a row can't pass its own walrelay-epoch for ours.
[[nodiscard]] headers_ptr make_headers(const event::record& record, bool metadata);

/// Bytes of names and values that make_headers() would put in.
[[nodiscard]] std::size_t headers_bytes(const event::record& record, bool metadata) noexcept;

}  // namespace walrelay::sink::kafka
