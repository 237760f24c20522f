// The body of a record from the columns of its row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "row_values.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::event {

/// How the text of a payload column becomes bytes.
enum class payload_form : std::uint8_t {
    json,   ///< as it is, application/json
    bytes,  ///< bytea: hex-decoded, application/octet-stream
    text,   ///< as it is, text/plain
};

/// By the OID of the column's type: json and jsonb, bytea, and all else.
[[nodiscard]] payload_form form_of(std::uint32_t type) noexcept;

/// Which columns hold the body. With `raw` (bytea): that, if not NULL, else `payload`.
struct body_source {
    slot payload = 0;
    payload_form form = payload_form::text;
    std::optional<slot> raw;
};

/// At most so many bytes of scratch are used by take_body().
[[nodiscard]] std::size_t body_bound(const body_source& from, const row_values& row) noexcept;

/// Sets body, body_in_frame and content_type; the latter stays empty where there is no body.
/// `out.scratch` has room. Fails with a cause alone: both columns set, a column not sent, or a
/// bytea that is not in the hex form which the session asked for (bytea_output).
[[nodiscard]] result<void> take_body(const body_source& from, const row_values& row, record& out);

}  // namespace walrelay::event
