#include "bytea.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace walrelay::event {

namespace {

constexpr std::uint8_t no_digit = 0xFF;

constexpr std::array<std::uint8_t, 256> make_digits() {
    std::array<std::uint8_t, 256> digits{};
    digits.fill(no_digit);
    for (std::uint8_t i = 0; i < 10; ++i)
        digits[static_cast<std::size_t>('0') + i] = i;
    for (std::uint8_t i = 0; i < 6; ++i) {
        digits[static_cast<std::size_t>('a') + i] = static_cast<std::uint8_t>(10 + i);
        digits[static_cast<std::size_t>('A') + i] = static_cast<std::uint8_t>(10 + i);
    }
    return digits;
}

constexpr auto digits = make_digits();

}  // namespace

bool append_bytes(std::string& out, std::string_view hex) {
    if (!hex.starts_with("\\x") || hex.size() % 2 != 0) return false;
    hex.remove_prefix(2);
    const std::size_t start = out.size();
    out.resize(start + hex.size() / 2);
    char* to = out.data() + start;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        const std::uint8_t high = digits[static_cast<std::uint8_t>(hex[i])];
        const std::uint8_t low = digits[static_cast<std::uint8_t>(hex[i + 1])];
        if (high == no_digit || low == no_digit) return false;
        *to++ = static_cast<char>(static_cast<std::uint8_t>((high << 4) | low));
    }
    return true;
}

}  // namespace walrelay::event
