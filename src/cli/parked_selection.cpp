#include "parked_selection.hpp"

#include <array>
#include <utility>

namespace walrelay::cli {

// Rows that were written on another server came with a copy of its files: no relay reads them here.
const char* const selection_sql =
    "p.slot = $1 and p.system_identifier = (select c.system_identifier from pg_control_system() c)"
    " and ($2::bigint[] is null or p.id = any ($2::bigint[]))"
    " and ($3::text is null or p.key = $3::text)"
    " and ($4::interval is null or p.parked_at >= clock_timestamp() - $4::interval)"
    " and ($5::timestamptz is null or p.parked_at >= $5::timestamptz)"
    " and ($6::text is null or p.error like $6::text)"
    " and ($7::text is null or p.sink = $7::text)";

bool selects_nothing(const parked_selection& what) noexcept {
    return what.ids.empty() && !what.all && !what.key && !what.since && !what.error && !what.sink;
}

std::vector<std::optional<std::string>> selection_parameters(const parked_selection& what,
                                                             const std::string& slot) {
    std::vector<std::optional<std::string>> values(7);
    values[0] = slot;
    if (!what.ids.empty()) {
        std::string ids = "{";
        for (const std::int64_t id : what.ids)
            ids += (ids.size() > 1 ? "," : "") + std::to_string(id);
        values[1] = ids + "}";
    }
    values[2] = what.key;
    if (what.since) {
        values[3] = interval_of(*what.since);
        if (!values[3]) values[4] = what.since;
    }
    if (what.error) values[5] = like_pattern(*what.error);
    if (what.sink) values[6] = *what.sink == "none" ? "" : *what.sink;
    return values;
}

std::string like_pattern(std::string_view glob) {
    std::string out;
    for (const char c : glob) {
        if (c == '*') {
            out += '%';
        } else if (c == '?') {
            out += '_';
        } else {
            if (c == '%' || c == '_' || c == '\\') out += '\\';
            out += c;
        }
    }
    return out;
}

std::optional<std::string> interval_of(std::string_view duration) {
    constexpr std::array<std::pair<char, const char*>, 4> units{
        {{'s', " seconds"}, {'m', " minutes"}, {'h', " hours"}, {'d', " days"}}};
    constexpr std::size_t most_digits = 6;
    if (duration.size() < 2 || duration.size() > most_digits + 1) return std::nullopt;
    const std::string_view number = duration.substr(0, duration.size() - 1);
    if (number.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    for (const auto& [letter, name] : units)
        if (letter == duration.back()) return std::string{number} + name;
    return std::nullopt;
}

}  // namespace walrelay::cli
