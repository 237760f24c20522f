// The headers of a record, and what of it can't be sent at all.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "handles.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::sink::kafka {

/// In this order: the row's own (a JSON null is a null value), `content-type` unless the row has
/// its own, `id`, `type`, of a push `workflow-id`, `workflow-attempt`, `queue`, `name`, and with
/// `metadata` walrelay-lsn, -seq (see sequence_text), -xid, -table, -epoch. Last in the list is
/// what Java's lastHeader() finds, so a row can't pass its own walrelay-epoch or workflow-id for
/// ours. In Debezium's style: `id`, then the row's own, and nothing else whatever `metadata` says.
[[nodiscard]] headers_ptr make_headers(const event::record& record, bool metadata);

/// Bytes of names and values that make_headers() would put in.
[[nodiscard]] std::size_t headers_bytes(const event::record& record, bool metadata) noexcept;

using header_list = std::vector<std::pair<std::string, std::optional<std::string>>>;

/// What make_headers() would put in, for people.
[[nodiscard]] header_list list_headers(const event::record& record, bool metadata);

/// Why a record is refused before the producer sees it: the key or the number of headers is too
/// large.
[[nodiscard]] std::optional<std::string> record_fault(const event::record& record);

/// Of a record of so many bytes, key and headers included, that a limit of librdkafka refuses.
[[nodiscard]] std::string too_large_text(std::size_t bytes, std::string_view limit,
                                         std::size_t limit_bytes);

}  // namespace walrelay::sink::kafka
