// Which names a Kafka topic may have.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace walrelay::sink::kafka {

/// Why `name` can't be the topic of a record, if it can't: Kafka's rules (1 to 249 of
/// [A-Za-z0-9._-], not "." or ".."), and no name that begins with "__", which are Kafka's own (an
/// outbox row must not write into __consumer_offsets). Names come from rows.
[[nodiscard]] std::optional<std::string> topic_name_fault(std::string_view name);

}  // namespace walrelay::sink::kafka
