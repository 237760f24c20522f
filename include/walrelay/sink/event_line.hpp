// One event as a line of JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "walrelay/event/record.hpp"
#include "walrelay/sink/preview.hpp"

namespace walrelay::sink {

/// Appends one object and a line feed: id, table, lsn, sink, topic (where the record has a
/// destination), key, type, of a push `workflow` (id, attempt, queue, name), headers (the row's
/// own), and one of
/// - `payload`: the body itself when it is JSON and its content type says so, byte for byte but for
///   line breaks between its tokens; a string when it is other text; null when there is none;
/// - `payload_base64`: a body that is not UTF-8.
/// Any other text that is not UTF-8 gets U+FFFD for the bytes that are not.
void append_line(std::string& out, const event::record& record, std::string_view sink);

/// The same of what a sink would send: its topic or url, and all headers that would be on the wire.
/// Where a row's own header has a name of ours, both stand there, as they do in Kafka.
void append_line(std::string& out, const event::record& record, std::string_view sink,
                 const preview& shown);

/// An event that is not sent, to one sink or to any.
struct unsent_event {
    std::string_view id;  ///< empty where nobody knows it: null
    std::string_view table;
    event::row_position position;
    std::optional<std::string_view> sink;  ///< none: the routes say so, or can't say
    bool discarded = false;                ///< on purpose; else an event error
    std::string_view reason;
};

/// Appends id, table, lsn, sink, `not_sent` ("discarded" or "event_error") and reason.
void append_unsent_line(std::string& out, const unsent_event& event);

}  // namespace walrelay::sink
