#include <stdexcept>

#include "walrelay/pgoutput/decoder.hpp"

namespace walrelay::pgoutput {

namespace {

const char* kind_name(protocol_error::kind what) noexcept {
    switch (what) {
        case protocol_error::kind::truncated:
            return "truncated";
        case protocol_error::kind::trailing_bytes:
            return "trailing bytes after";
        case protocol_error::kind::unknown_message:
            return "unknown";
        case protocol_error::kind::unknown_frame:
            return "unknown";
        case protocol_error::kind::bad_value:
            return "bad value in";
        case protocol_error::kind::out_of_sequence:
            return "out-of-sequence";
        case protocol_error::kind::mismatch:
            return "inconsistent";
    }
    return "bad";
}

const char* tag_name(char tag) noexcept {
    switch (tag) {
        case 'B':
            return "Begin message";
        case 'C':
            return "Commit message";
        case 'O':
            return "Origin message";
        case 'R':
            return "Relation message";
        case 'Y':
            return "Type message";
        case 'I':
            return "Insert message";
        case 'U':
            return "Update message";
        case 'D':
            return "Delete message";
        case 'T':
            return "Truncate message";
        case 'M':
            return "Logical message";
        case 'w':
            return "XLogData frame";
        case 'k':
            return "keepalive frame";
        default:
            return "message";
    }
}

/// "0x53 'S'"; only the number where the byte has no printable form.
std::string byte_text(char tag) {
    constexpr const char* hex = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(tag);
    std::string text = std::string{"0x"} + hex[value >> 4] + hex[value & 15];
    if (value > 0x20 && value < 0x7F) text += std::string{" '"} + tag + "'";
    return text;
}

}  // namespace

std::string protocol_error::text() const {
    std::string text = kind_name(what);
    if (what == kind::unknown_message) {
        text += " message type " + byte_text(message_tag);
    } else if (what == kind::unknown_frame) {
        text += " CopyData type " + byte_text(message_tag);
    } else {
        text += std::string{" "} + tag_name(message_tag);
    }
    return text + " at byte " + std::to_string(offset) + " (" + field + ")";
}

void throw_exception_from_error(const protocol_error& what, const boost::source_location&) {
    throw std::runtime_error{what.text()};
}

}  // namespace walrelay::pgoutput
