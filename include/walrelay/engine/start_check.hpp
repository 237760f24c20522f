// Whether the stream may start: slot, record and server compared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "walrelay/core/lsn.hpp"
#include "walrelay/core/result.hpp"

namespace walrelay::engine {

/// What the server says of the slot; a plain copy of pg_replication_slots' columns.
struct slot_facts {
    std::string name;
    std::string plugin;
    std::string slot_type;
    std::string database;
    std::string current_database;
    bool temporary = false;
    lsn confirmed_flush;
    std::string wal_status;
    std::string invalidation_reason;
};

struct record_facts {
    lsn safe;
    std::string system_identifier;
};

struct start_facts {
    std::string slot_name;
    std::optional<slot_facts> slot;
    std::optional<record_facts> record;  ///< walrelay.progress of this slot
    std::string system_identifier;       ///< of the server
};

/// Why the relay must not start; `exit_code` as in README.
struct start_refusal {
    int exit_code = 2;
    error why;
};

/// Nothing when the stream may start. Pure. The record is durable before each acknowledgement, so
/// on one server a slot that is ahead of it was recreated, or moved by somebody else.
[[nodiscard]] std::optional<start_refusal> refuse_start(const start_facts& facts);

/// What an error of Postgres means for a relay that connects or streams.
enum class connection_fault : std::uint8_t {
    transient,      ///< tried again with backoff
    slot_busy,      ///< another process holds the slot: wait for it
    configuration,  ///< exit 2 at the first start; later tried again, seldom
};

/// `sqlstate` is empty when no server answered; `text` is only looked at then, for TLS.
[[nodiscard]] connection_fault classify(const std::string& sqlstate,
                                        const std::string& text) noexcept;

/// The server is going down: 57P01 admin shutdown, 57P02 crash shutdown, 57P03 cannot connect now.
[[nodiscard]] bool server_is_stopping(const std::string& sqlstate) noexcept;

}  // namespace walrelay::engine
