// For people who come from Debezium's Outbox Event Router and write its options out of habit.
#pragma once

#include <string>
#include <string_view>

namespace walrelay::config {

/// How walrelay says what an option of the Outbox Event Router (or one of the converters beside it)
/// says, or that it can't be said; empty for other names. `transforms.ALIAS.` before it is allowed.
[[nodiscard]] std::string debezium_option_hint(std::string_view key);

}  // namespace walrelay::config
