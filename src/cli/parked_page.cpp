#include "parked_page.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "status_sentence.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

using json = nlohmann::ordered_json;

constexpr std::size_t columns = 9;
using cells = std::array<std::string, columns>;

/// Of the columns before the error; long values are cut.
constexpr std::array<std::size_t, columns> widest{19, 9, 20, 32, 36, 24, 8, 8, SIZE_MAX};

/// Characters, as far as each of them takes one place.
std::size_t length(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

std::string cut(std::string text, std::size_t most) {
    if (length(text) <= most) return text;
    std::size_t end = 0;
    for (std::size_t taken = 0; end < text.size(); ++end) {
        const bool begins = (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80;
        if (begins && ++taken == most) break;
    }
    text.resize(end);
    return text + "…";
}

std::string sink_text(const std::string& sink) {
    return sink.empty() ? "(no route)" : printable(sink);
}

cells cells_of(const parked_row& row) {
    return {std::to_string(row.id),       row.state,
            sink_text(row.sink),          printable(row.table),
            printable(row.event_id),      row.key ? printable(*row.key) : "NULL",
            std::to_string(row.attempts), readable_seconds(static_cast<double>(row.age_seconds)),
            printable(row.error, 1000)};
}

json of_row(const parked_row& row) {
    const auto nullable = [](const std::optional<std::string>& text) {
        return text ? json(*text) : json(nullptr);
    };
    return {{"id", row.id},
            {"state", row.state},
            {"sink", row.sink.empty() ? json(nullptr) : json(row.sink)},
            {"table", row.table},
            {"event_id", row.event_id},
            {"key", nullable(row.key)},
            {"type", nullable(row.type)},
            {"destination", row.destination},
            {"attempts", row.attempts},
            {"age_seconds", row.age_seconds},
            {"parked_at", row.parked_at},
            {"redriven_at", nullable(row.redriven_at)},
            {"lsn", row.lsn},
            {"holds_key", row.holds_key},
            {"error", row.error}};
}

std::string dumped(const json& shown) {
    return shown.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string count_text(const parked_count& count) {
    return std::to_string(count.rows) + " " + count.state +
           (count.sink.empty() ? " that no route took" : " for sink " + printable(count.sink));
}

std::string parked_table(const parked_list& list, std::size_t width) {
    std::vector<cells> lines{
        {"id", "state", "sink", "table", "event id", "key", "attempts", "age", "error"}};
    for (const parked_row& row : list.rows)
        lines.push_back(cells_of(row));
    std::array<std::size_t, columns> widths{};
    for (cells& line : lines) {
        for (std::size_t i = 0; i < columns; ++i) {
            line[i] = cut(std::move(line[i]), widest[i]);
            widths[i] = std::max(widths[i], length(line[i]));
        }
    }
    std::string out;
    for (const cells& line : lines) {
        if (list.rows.empty()) break;
        std::string text;
        for (std::size_t i = 0; i < columns; ++i) {
            text += line[i];
            if (i + 1 < columns) text.append(widths[i] - length(line[i]) + 2, ' ');
        }
        out += (width > 0 ? cut(std::move(text), width) : text) + "\n";
    }
    if (list.older > 0)
        out += "… and " + std::to_string(list.older) + " older: --limit shows more\n";
    for (const parked_count& count : list.counts)
        out += count_text(count) + "\n";
    if (list.counts.empty()) out += "nothing is set aside\n";
    return out;
}

std::string parked_json(const parked_list& list) {
    json rows = json::array();
    for (const parked_row& row : list.rows)
        rows.push_back(of_row(row));
    json counts = json::array();
    for (const parked_count& one : list.counts) {
        counts.push_back({{"state", one.state},
                          {"sink", one.sink.empty() ? json(nullptr) : json(one.sink)},
                          {"rows", one.rows}});
    }
    return dumped({{"rows", rows}, {"older", list.older}, {"counts", counts}});
}

}  // namespace walrelay::cli
