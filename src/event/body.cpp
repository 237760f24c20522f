#include "body.hpp"

#include <array>

namespace walrelay::event {

namespace {

using kind = pgoutput::value_view::kind;

constexpr std::uint32_t bytea_oid = 17;
constexpr std::uint32_t json_oid = 114;
constexpr std::uint32_t jsonb_oid = 3802;

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

/// Appends the bytes of a bytea in hex form ("\x0aff"); false when it is not one.
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

error body_error(std::string cause, std::string hint = {}) {
    return {"", "", std::move(cause), std::move(hint)};
}

}  // namespace

payload_form form_of(std::uint32_t type_oid) noexcept {
    if (type_oid == json_oid || type_oid == jsonb_oid) return payload_form::json;
    return type_oid == bytea_oid ? payload_form::bytes : payload_form::text;
}

std::size_t body_bound(const body_source& from, const row_values& row) noexcept {
    if (from.raw && row[*from.raw].what == kind::text) return row[*from.raw].text.size() / 2;
    return from.form == payload_form::bytes ? row[from.payload].text.size() / 2 : 0;
}

result<void> take_body(const body_source& from, const row_values& row, record& out) {
    const pgoutput::value_view raw = from.raw ? row[*from.raw] : pgoutput::value_view{};
    const pgoutput::value_view payload = row[from.payload];
    if (raw.what == kind::unchanged_toast || payload.what == kind::unchanged_toast) {
        return body_error("the value of the payload was not sent (unchanged TOAST)",
                          "only inserts are events: publish = 'insert'");
    }
    const bool has_raw = raw.what == kind::text;
    if (has_raw && payload.what == kind::text) {
        return body_error("both payload and raw are set",
                          "write one of them and leave the other NULL");
    }
    if (!has_raw && payload.what == kind::null) return {};
    if (!has_raw && from.form != payload_form::bytes) {
        out.body = payload.text;
        out.body_in_frame = true;
        out.content_type = from.form == payload_form::json ? "application/json" : "text/plain";
        return {};
    }
    const std::size_t start = out.scratch.size();
    if (!append_bytes(out.scratch, has_raw ? raw.text : payload.text)) {
        return body_error("the bytea of the payload is not in hex form",
                          "the relay's session needs bytea_output = hex");
    }
    out.body = std::string_view{out.scratch}.substr(start);
    out.content_type = "application/octet-stream";
    return {};
}

}  // namespace walrelay::event
