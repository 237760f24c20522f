#include "header_rules.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace walrelay::sink::http {

namespace {

using byte_set = std::array<bool, 256>;

constexpr byte_set value_bytes = [] {
    byte_set set{};
    for (std::size_t byte = 0x20; byte <= 0x7E; ++byte)
        set[byte] = true;
    set['\t'] = true;
    return set;
}();

bool all_in(const byte_set& set, std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return set[static_cast<std::uint8_t>(c)]; });
}

}  // namespace

bool is_field_value(std::string_view text) noexcept {
    return all_in(value_bytes, text);
}

void append_percent_encoded(std::string& out, std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::size_t copied = 0;  // nearly every text is one run of bytes that stay as they are
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<std::uint8_t>(text[i]);
        const bool at_end = i == 0 || i + 1 == text.size();
        if (byte > 0x7E || byte < 0x20 || byte == '%' || (byte == ' ' && at_end)) {
            out.append(text.substr(copied, i - copied));
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 0xF];
            copied = i + 1;
        }
    }
    out.append(text.substr(copied));
}

}  // namespace walrelay::sink::http
