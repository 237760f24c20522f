#include "row_template.hpp"

#include <algorithm>

namespace walrelay::event {

namespace {

filled fill_part(const row_template::part& part, const row_values& row) noexcept {
    if (const auto* literal = std::get_if<std::string>(&part)) return {.text = *literal};
    const slot column = *std::get_if<slot>(&part);
    const pgoutput::value_view& value = row[column];
    using kind = pgoutput::value_view::kind;
    if (value.what == kind::null) return {.what = filled::state::null, .text = {}, .at = column};
    if (value.what == kind::unchanged_toast) {
        return {.what = filled::state::unchanged_toast, .text = {}, .at = column};
    }
    return {.text = value.text, .at = column};
}

}  // namespace

bool row_template::constant() const noexcept {
    return std::none_of(parts_.begin(), parts_.end(),
                        [](const part& p) { return std::holds_alternative<slot>(p); });
}

std::size_t row_template::bound(const row_values& row) const noexcept {
    if (parts_.size() < 2) return 0;
    std::size_t bytes = 0;
    for (const part& p : parts_)
        bytes += fill_part(p, row).text.size();
    return bytes;
}

filled row_template::fill(const row_values& row, std::string& out) const {
    if (parts_.empty()) return {};
    if (parts_.size() == 1) return fill_part(parts_.front(), row);
    const std::size_t start = out.size();
    for (const part& p : parts_) {
        const filled piece = fill_part(p, row);
        if (piece.what != filled::state::text) return piece;
        out += piece.text;
    }
    return {.text = std::string_view{out}.substr(start)};
}

}  // namespace walrelay::event
