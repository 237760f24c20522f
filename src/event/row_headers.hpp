// The headers that a row brings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "walrelay/core/result.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::event {

inline constexpr std::size_t limit_row_headers = 64;
inline constexpr std::size_t limit_row_header_bytes = 16 * 1024;  ///< names and values together

/// Fills `headers` of one record within the limits.
class header_list {
public:
    enum class content_type : std::uint8_t {
        apart,   ///< goes to `content_type` of the record; none as a NULL
        listed,  ///< is a header like any other
    };

    header_list(record& out, content_type how) noexcept : out_{out}, content_type_{how} {}

    /// Both are the row's own or the sink map's, and not fit for any protocol yet. Fails with a
    /// cause alone when there are too many. `secret`: not to be shown.
    [[nodiscard]] result<void> add(std::string_view name, std::optional<std::string_view> value,
                                   bool secret = false);

private:
    record& out_;
    content_type content_type_;
    std::size_t members_ = 0;
    std::size_t bytes_ = 0;
};

/// At most so many bytes of scratch are used by take_row_headers().
[[nodiscard]] std::size_t row_headers_bound(std::string_view object) noexcept;

/// Adds the members of a JSON object, in the order of the text: a string by its value, null as no
/// value, anything else as the JSON text that stands there (so 1.10 stays 1.10). `scratch` has
/// room. Fails with a cause alone: not an object, or over a limit.
[[nodiscard]] result<void> take_row_headers(std::string_view object, std::string& scratch,
                                            header_list& out);

}  // namespace walrelay::event
