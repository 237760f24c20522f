// One event as a block of text for people.
#pragma once

#include <string>
#include <string_view>

#include "walrelay/event/record.hpp"
#include "walrelay/sink/event_line.hpp"
#include "walrelay/sink/preview.hpp"

namespace walrelay::sink {

/// Appends the first line of a block: table, position and id.
///
///     walrelay.outbox 16/B374D848 row 3, id 0192…
///
/// What follows is indented. Nothing that a row brings reaches the terminal as a control character:
/// those and bytes that are not UTF-8 stand there as \xNN.
void append_heading(std::string& out, std::string_view table, const event::row_position& position,
                    std::string_view id);

/// Appends what one sink gets: target, key, type, headers, and the body as a whole, in base64 where
/// it is not text.
void append_delivery(std::string& out, const event::record& record, std::string_view sink,
                     const preview& shown);

/// Appends why the event is not sent, to its sink or at all.
void append_unsent(std::string& out, const unsent_event& event);

}  // namespace walrelay::sink
