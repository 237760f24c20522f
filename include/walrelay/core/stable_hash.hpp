// A hash that is stored: it must be the same in every build, version and process.
#pragma once

#include <cstdint>
#include <string_view>

namespace walrelay {

/// 64 bits of `text`, spread over all of them; not for adversaries. Equal on every platform, and
/// never to be changed: walrelay.parked holds it.
[[nodiscard]] std::uint64_t stable_hash(std::string_view text) noexcept;

}  // namespace walrelay
