#include "walrelay/intake/mark.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "walrelay/core/escape.hpp"

namespace walrelay::intake {

namespace {

constexpr std::array<std::pair<std::string_view, mark::action>, 4> actions{{
    {"redrive", mark::action::redrive},
    {"drop", mark::action::drop},
    {"pause", mark::action::pause},
    {"resume", mark::action::resume},
}};

error fault(std::string cause) {
    return error{"read a mark of", "walrelay.redrive", std::move(cause),
                 "a newer schema may have written it: upgrade walrelay first"};
}

std::optional<std::int64_t> integer(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// "{1,22}"
std::optional<std::vector<std::int64_t>> integers(std::string_view text) {
    if (text.size() < 2 || text.front() != '{' || text.back() != '}') return std::nullopt;
    text = text.substr(1, text.size() - 2);
    std::vector<std::int64_t> values;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(','), text.size());
        const auto value = integer(text.substr(0, end));
        if (!value || end + 1 == text.size()) return std::nullopt;
        values.push_back(*value);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return values;
}

}  // namespace

bool holds_marks(const pgoutput::relation& table) {
    return table.name == "redrive" && table.schema == "walrelay";
}

result<mark> read_mark(const pgoutput::relation& table, const pgoutput::tuple_view& row) {
    if (row.size() != table.columns.size()) return fault("it has other columns than its table");
    mark read;
    bool has_id = false;
    bool has_action = false;
    auto column = table.columns.begin();
    for (const pgoutput::value_view value : row) {
        const std::string& name = (column++)->name;
        if (value.what != pgoutput::value_view::kind::text) continue;
        if (name == "id") {
            const auto id = integer(value.text);
            if (!id) return fault("id is not a number");
            read.id = *id;
            has_id = true;
        } else if (name == "action") {
            for (const auto& [known, what] : actions) {
                if (known != value.text) continue;
                read.what = what;
                has_action = true;
            }
            if (!has_action) return fault("unknown action '" + printable(value.text, 40) + "'");
        } else if (name == "slot") {
            read.slot = value.text;
        } else if (name == "sink") {
            read.sink = value.text;
        } else if (name == "ids") {
            auto ids = integers(value.text);
            if (!ids) return fault("ids is not an array of numbers");
            read.ids = std::move(*ids);
        }
    }
    if (!has_id || !has_action) return fault("id or action is missing");
    return read;
}

}  // namespace walrelay::intake
