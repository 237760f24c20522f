// The text form of bytea.
#pragma once

#include <string>
#include <string_view>

namespace walrelay::event {

/// Appends the bytes of a bytea in hex form ("\x0aff"); false when it is not one. Half the size of
/// `hex` is enough room.
[[nodiscard]] bool append_bytes(std::string& out, std::string_view hex);

}  // namespace walrelay::event
