#include "quantity.hpp"

#include <array>
#include <charconv>
#include <limits>
#include <span>

namespace walrelay::config {

namespace {

struct unit {
    std::string_view name;
    std::uint64_t factor;
};

// The largest unit first, for printing.
constexpr std::array<unit, 4> duration_units{
    {{"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<unit, 7> size_units{{{"GiB", 1U << 30},
                                          {"MiB", 1U << 20},
                                          {"KiB", 1U << 10},
                                          {"GB", 1'000'000'000},
                                          {"MB", 1'000'000},
                                          {"kB", 1000},
                                          {"B", 1}}};

std::optional<std::uint64_t> parse(std::string_view text, std::span<const unit> units) {
    const std::size_t digits = text.find_first_not_of("0123456789");
    if (digits == std::string_view::npos) return std::nullopt;
    const auto number = parse_whole_number(text.substr(0, digits));
    if (!number) return std::nullopt;
    for (const unit& each : units) {
        if (text.substr(digits) != each.name) continue;
        if (*number > std::numeric_limits<std::int64_t>::max() / each.factor) return std::nullopt;
        return *number * each.factor;
    }
    return std::nullopt;
}

std::string print(std::uint64_t value, std::span<const unit> units) {
    for (const unit& each : units) {
        if (value == 0 || value % each.factor != 0) continue;
        return std::to_string(value / each.factor) + std::string{each.name};
    }
    return "0" + std::string{units.back().name};
}

}  // namespace

std::optional<std::uint64_t> parse_whole_number(std::string_view text) {
    std::uint64_t number = 0;
    const char* const last = text.data() + text.size();
    const auto [end, failure] = std::from_chars(text.data(), last, number);
    if (failure != std::errc{} || end != last || text.empty()) return std::nullopt;
    return number;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    const auto count = parse(text, duration_units);
    if (!count) return std::nullopt;
    return std::chrono::milliseconds{*count};
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    return parse(text, size_units);
}

std::string to_text(std::chrono::milliseconds duration) {
    if (duration == duration.zero()) return "0s";
    return print(static_cast<std::uint64_t>(duration.count()), duration_units);
}

std::string size_text(std::uint64_t bytes) {
    // Powers of 1024 only: 1000B is easier to compare with 1KiB than 1kB is.
    for (const unit& each : std::span{size_units}.first(3)) {
        if (bytes != 0 && bytes % each.factor == 0) {
            return std::to_string(bytes / each.factor) + std::string{each.name};
        }
    }
    return std::to_string(bytes) + "B";
}

}  // namespace walrelay::config
