#include "retry_after.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace walrelay::sink::http {

namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

/// Takes a date apart from left to right; after the first mismatch everything fails.
class date_reader {
public:
    explicit date_reader(std::string_view text) noexcept : rest_{text} {}

    bool ok() const noexcept { return ok_; }

    bool at_end() const noexcept { return ok_ && rest_.empty(); }

    bool take(std::string_view literal) noexcept {
        if (rest_.substr(0, literal.size()) != literal) return ok_ = false;
        rest_.remove_prefix(literal.size());
        return ok_;
    }

    /// Exactly so many digits; with `padded`, a leading space stands for a zero (asctime's day).
    int number(std::size_t digits, bool padded = false) noexcept {
        if (rest_.size() < digits) return fail();
        int value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            const char c = rest_[i];
            if (padded && i == 0 && c == ' ') continue;
            if (!is_digit(c)) return fail();
            value = value * 10 + (c - '0');
        }
        rest_.remove_prefix(digits);
        return value;
    }

    /// 1 to 12.
    unsigned month() noexcept {
        constexpr std::array<std::string_view, 12> names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        const auto* const found = std::find(names.begin(), names.end(), rest_.substr(0, 3));
        if (found == names.end()) return ok_ = false, 0;
        rest_.remove_prefix(3);
        return static_cast<unsigned>(found - names.begin()) + 1;
    }

    /// Hours, minutes and seconds; 60 is a leap second.
    std::chrono::seconds time_of_day() noexcept {
        const int hours = number(2);
        take(":");
        const int minutes = number(2);
        take(":");
        const int seconds = number(2);
        if (hours > 23 || minutes > 59 || seconds > 60) fail();
        return std::chrono::hours{hours} + std::chrono::minutes{minutes} +
               std::chrono::seconds{seconds};
    }

    int fail() noexcept { return ok_ = false, 0; }

private:
    std::string_view rest_;
    bool ok_ = true;
};

// In whole seconds: the year 9999 does not fit the clock's nanoseconds.
std::optional<std::chrono::sys_seconds> point(const date_reader& date, int year, unsigned month,
                                              int day, std::chrono::seconds time) {
    const std::chrono::year_month_day civil{std::chrono::year{year}, std::chrono::month{month},
                                            std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.at_end() || !civil.ok()) return std::nullopt;
    return std::chrono::sys_days{civil} + time;
}

/// "Sun, 06 Nov 1994 08:49:37 GMT", what follows the day's name.
std::optional<std::chrono::sys_seconds> imf_fixdate(std::string_view text) {
    date_reader date{text};
    date.take(", ");
    const int day = date.number(2);
    date.take(" ");
    const unsigned month = date.month();
    date.take(" ");
    const int year = date.number(4);
    date.take(" ");
    const auto time = date.time_of_day();
    date.take(" GMT");
    return point(date, year, month, day, time);
}

/// "Sunday, 06-Nov-94 08:49:37 GMT", what follows the day's name.
std::optional<std::chrono::sys_seconds> rfc850_date(std::string_view text,
                                                    system_clock::time_point now) {
    date_reader date{text};
    date.take(", ");
    const int day = date.number(2);
    date.take("-");
    const unsigned month = date.month();
    date.take("-");
    const int two_digits = date.number(2);
    date.take(" ");
    const auto time = date.time_of_day();
    date.take(" GMT");

    // RFC 9110, 5.6.7: a year that seems more than 50 years ahead is the last one with these
    // digits.
    const std::chrono::year_month_day today{std::chrono::floor<std::chrono::days>(now)};
    const int this_year = static_cast<int>(today.year());
    int year = this_year - this_year % 100 + two_digits;
    if (year > this_year + 50) year -= 100;
    return point(date, year, month, day, time);
}

/// "Sun Nov  6 08:49:37 1994", what follows the day's name.
std::optional<std::chrono::sys_seconds> asctime_date(std::string_view text) {
    date_reader date{text};
    date.take(" ");
    const unsigned month = date.month();
    date.take(" ");
    const int day = date.number(2, true);
    date.take(" ");
    const auto time = date.time_of_day();
    date.take(" ");
    const int year = date.number(4);
    return point(date, year, month, day, time);
}

std::optional<std::chrono::sys_seconds> http_date(std::string_view text,
                                                  system_clock::time_point now) {
    constexpr std::array<std::string_view, 7> days{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
    for (const std::string_view day : days) {
        if (text.substr(0, day.size()) == day) return rfc850_date(text.substr(day.size()), now);
        if (text.substr(0, 3) != day.substr(0, 3)) continue;
        const auto rest = text.substr(3);
        return rest.substr(0, 1) == "," ? imf_fixdate(rest) : asctime_date(rest);
    }
    return std::nullopt;
}

}  // namespace

std::optional<milliseconds> parse_retry_after(std::string_view value,
                                              system_clock::time_point now) {
    if (!value.empty() && std::all_of(value.begin(), value.end(), is_digit)) {
        milliseconds wait{0};
        for (const char digit : value) {
            wait = std::min(wait * 10 + std::chrono::seconds{digit - '0'}, longest_retry_after);
        }
        return wait;
    }
    const auto date = http_date(value, now);
    if (!date) return std::nullopt;
    const milliseconds wait = *date - std::chrono::floor<std::chrono::seconds>(now);
    return std::clamp(wait, milliseconds{0}, longest_retry_after);
}

}  // namespace walrelay::sink::http
