// Rows of walrelay.parked back into events, by today's routes.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "walrelay/core/result.hpp"
#include "walrelay/engine/engine.hpp"
#include "walrelay/event/router.hpp"
#include "walrelay/intake/event_store.hpp"

namespace walrelay::intake {

/// What is stored of an event: enough to read it again.
struct stored_row {
    std::string relation;                  ///< a Relation message
    std::unique_ptr<std::byte[]> message;  ///< an Insert message
    std::size_t message_bytes = 0;
    event::row_position position;
};

/// What becomes of `message` when an event is set aside.
struct row_messages {
    std::string relation;
    std::string insert;
};

[[nodiscard]] row_messages messages_of(const stored_event& stored);

/// Keeps the plans of the tables that it has met.
class row_reader {
public:
    explicit row_reader(const event::router& routes) noexcept : routes_{routes} {}

    /// `placements` is overwritten: where the event goes today, maybe nowhere. An error when the
    /// bytes are not what was written, or when the routes don't fit the table.
    [[nodiscard]] result<stored_event> read(stored_row&& row,
                                            std::vector<event::placement>& placements);

private:
    [[nodiscard]] result<std::shared_ptr<const event::table_plan>> plan_of(
        const std::string& relation);

    const event::router& routes_;
    std::unordered_map<std::string, std::shared_ptr<const event::table_plan>> plans_;
};

/// A row of the store, as the answer to a load_request has it.
struct loaded_row {
    std::size_t lane = 0;  ///< index into what was asked for
    engine::aside_id id = 0;
    stored_row row;
    std::uint32_t attempts = 0;
    bool redriven = false;  ///< an operator wished it
    bool blocks = false;    ///< parked, and holds its key: nothing behind it was given
    bool left = false;      ///< there was no room for it, nor for what is behind it
    std::string fault{};    ///< why it can't be read; then `row` is nothing
};

/// Of a row of the store that isn't as it was written; `cause` names what is wrong with it.
[[nodiscard]] error not_as_written(std::string cause);

/// Answers a load_request: `rows` are the oldest ones of each lane, in order. A row that can't be
/// read, or that today's routes don't send to its sink, is parked, and says why.
void feed_rows(engine::engine& decisions, event_store& events, row_reader& reader,
               const engine::load_request& asked, std::vector<loaded_row>&& rows);

}  // namespace walrelay::intake
