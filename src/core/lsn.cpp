#include "walrelay/core/lsn.hpp"

#include <array>
#include <charconv>
#include <cstdio>

#include "walrelay/core/escape.hpp"

namespace walrelay {

namespace {

/// One half of "X/Y": one to eight hex digits, nothing else.
bool parse_half(std::string_view text, std::uint32_t& value) {
    if (text.empty() || text.size() > 8) return false;
    const char* const last = text.data() + text.size();
    const auto [end, failure] = std::from_chars(text.data(), last, value, 16);
    return failure == std::errc{} && end == last;
}

}  // namespace

std::string to_string(lsn position) {
    std::array<char, 24> text{};
    const int size = std::snprintf(text.data(), text.size(), "%X/%X",
                                   static_cast<unsigned>(position.value >> 32),
                                   static_cast<unsigned>(position.value & 0xFFFFFFFFU));
    return {text.data(), static_cast<std::size_t>(size)};
}

std::string to_hex16(lsn position) {
    std::array<char, 24> text{};
    const int size = std::snprintf(text.data(), text.size(), "%016llX",
                                   static_cast<unsigned long long>(position.value));
    return {text.data(), static_cast<std::size_t>(size)};
}

result<lsn> parse_lsn(std::string_view text) {
    const auto slash = text.find('/');
    std::uint32_t high = 0;
    std::uint32_t low = 0;
    if (slash == std::string_view::npos || !parse_half(text.substr(0, slash), high) ||
        !parse_half(text.substr(slash + 1), low)) {
        return error{"read LSN", "'" + printable(text) + "'",
                     "expected two hex numbers as in 16/B374D848", ""};
    }
    return lsn{(static_cast<std::uint64_t>(high) << 32) | low};
}

}  // namespace walrelay
