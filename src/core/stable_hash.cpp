#include "walrelay/core/stable_hash.hpp"

#include <cstddef>

namespace walrelay {

namespace {

constexpr std::uint64_t odd_constant = 0x9E3779B97F4A7C15U;

std::uint64_t mix(std::uint64_t bits) noexcept {
    bits ^= bits >> 32;
    bits *= 0xD6E8FEB86659FD93U;
    bits ^= bits >> 32;
    bits *= 0xD6E8FEB86659FD93U;
    return bits ^ (bits >> 32);
}

/// Up to eight bytes, the first one lowest.
std::uint64_t load(std::string_view bytes) noexcept {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        word |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    return word;
}

}  // namespace

std::uint64_t stable_hash(std::string_view text) noexcept {
    std::uint64_t state = odd_constant ^ text.size();
    while (text.size() > 8) {
        state = mix(state ^ load(text.substr(0, 8))) + odd_constant;
        text.remove_prefix(8);
    }
    return mix(state ^ load(text));
}

}  // namespace walrelay
