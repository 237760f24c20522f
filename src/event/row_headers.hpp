// The headers that a row brings: one JSON object.
#pragma once

#include <cstddef>
#include <string_view>

#include "walrelay/core/result.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::event {

inline constexpr std::size_t limit_row_headers = 64;
inline constexpr std::size_t limit_row_header_bytes = 16 * 1024;  ///< names and values together

/// At most so many bytes of scratch are used by take_row_headers().
[[nodiscard]] std::size_t row_headers_bound(std::string_view object) noexcept;

/// Sets `out.headers`, in the order of the text: a string by its value, null as no value, anything
/// else as the JSON text that stands there (so 1.10 stays 1.10). A content-type, in any case, goes
/// to `out.content_type` instead. Names and values are the row's own and not fit for any protocol
/// yet. `out.scratch` has room. Fails with a cause alone: not an object, or over a limit.
[[nodiscard]] result<void> take_row_headers(std::string_view object, record& out);

}  // namespace walrelay::event
