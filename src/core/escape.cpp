#include "walrelay/core/escape.hpp"

#include <array>
#include <cstdint>

namespace walrelay {

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

/// Length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none.
std::size_t utf8_sequence(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const auto continues = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xBF) {
        return i < text.size() && byte(i) >= low && byte(i) <= high;
    };
    const std::uint8_t lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        const std::uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
        const std::uint8_t high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
        return continues(1, low, high) && continues(2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const std::uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
        const std::uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;  // nothing above U+10FFFF
        return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
    }
    return 0;
}

/// Of a well-formed sequence: what moves the cursor, ends a line, or reverses what stands behind
/// it.
bool is_control(std::string_view sequence) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(sequence[i]); };
    if (sequence.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7F;
    // U+0080 to U+009F are control characters that terminals obey: U+009B is ESC [.
    if (sequence.size() == 2) return byte(0) == 0xC2 && byte(1) < 0xA0;
    if (sequence.size() != 3 || byte(0) != 0xE2) return false;
    // U+2028 and U+2029 end lines; U+202A to U+202E and U+2066 to U+2069 turn their direction.
    return (byte(1) == 0x80 && byte(2) >= 0xA8 && byte(2) <= 0xAE) ||
           (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9);
}

std::string doubled(std::string_view text, char quote) {
    std::string out;
    out.reserve(text.size() + 2);
    out += quote;
    for (const char c : text) {
        if (c == quote) out += quote;
        out += c;
    }
    out += quote;
    return out;
}

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = utf8_sequence(text);
        const char c = text.front();
        if (size == 0) {
            out += "\xEF\xBF\xBD";
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (static_cast<std::uint8_t>(c) < 0x20) {
            out += "\\u00";
            out += hex_digits[static_cast<std::uint8_t>(c) >> 4];
            out += hex_digits[static_cast<std::uint8_t>(c) & 15];
        } else {
            out += text.substr(0, size);
        }
        text.remove_prefix(size == 0 ? 1 : size);
    }
}

std::string printable(std::string_view text, std::size_t limit_bytes) {
    std::string out;
    std::size_t taken = 0;
    while (taken < text.size() && taken < limit_bytes) {
        const std::string_view rest = text.substr(taken);
        const std::size_t size = utf8_sequence(rest);
        if (size == 0 || is_control(rest.substr(0, size))) {
            for (const char c : rest.substr(0, size == 0 ? 1 : size)) {
                out += "\\x";
                out += hex_digits[static_cast<std::uint8_t>(c) >> 4];
                out += hex_digits[static_cast<std::uint8_t>(c) & 15];
            }
        } else {
            out += rest.substr(0, size);
        }
        taken += size == 0 ? 1 : size;
    }
    if (taken < text.size()) out += "… (" + std::to_string(text.size() - taken) + " bytes more)";
    return out;
}

bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const std::size_t size = utf8_sequence(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

std::string quote_identifier(std::string_view name) {
    return doubled(name, '"');
}

std::string quote_literal(std::string_view text) {
    return doubled(text, '\'');
}

}  // namespace walrelay
