#include "body.hpp"

#include "bytea.hpp"
#include "walrelay/core/type_oid.hpp"

namespace walrelay::event {

namespace {

using kind = pgoutput::value_view::kind;

error body_error(std::string cause, std::string hint = {}) {
    return {"", "", std::move(cause), std::move(hint)};
}

}  // namespace

payload_form form_of(std::uint32_t type) noexcept {
    if (type == type_oid::json || type == type_oid::jsonb) return payload_form::json;
    return type == type_oid::bytea ? payload_form::bytes : payload_form::text;
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
