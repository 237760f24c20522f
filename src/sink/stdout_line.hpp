// One event as a line of JSON.
#pragma once

#include <string>
#include <string_view>

#include "walrelay/event/record.hpp"

namespace walrelay::sink {

/// Appends one object and a line feed: id, table, lsn, sink, topic (where the record has a
/// destination), key, type, headers, and one of
/// - `payload`: the body itself when it is JSON and its content type says so, byte for byte but for
/// line
///   breaks between its tokens; a string when it is other text; null when there is none;
/// - `payload_base64`: a body that is not UTF-8.
/// Any other text that is not UTF-8 gets U+FFFD for the bytes that are not.
void append_line(std::string& out, const event::record& record, std::string_view sink);

}  // namespace walrelay::sink
