#include "header_value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "bytea.hpp"
#include "walrelay/core/base64.hpp"
#include "walrelay/core/type_oid.hpp"

namespace walrelay::event {

namespace {

constexpr std::size_t longest_days = 24;

/// True when `text` has a digit for each '0' of `form`, and is equal to it elsewhere.
bool has_form(std::string_view text, std::string_view form) noexcept {
    if (text.size() != form.size()) return false;
    for (std::size_t i = 0; i < form.size(); ++i) {
        const bool digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == '0' ? !digit : text[i] != form[i]) return false;
    }
    return true;
}

std::int64_t number(std::string_view digits) noexcept {
    std::int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

/// Of the proleptic Gregorian calendar, for years from 1: a year begins in March here, so that the
/// leap day is its last.
std::int64_t days_since_1970(std::int64_t year, std::int64_t month, std::int64_t day) noexcept {
    if (month <= 2) {
        --year;
        month += 12;
    }
    const std::int64_t days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1;
    return days - 719'468;
}

std::string_view date_text(std::string_view value, std::string& scratch) {
    if (!has_form(value, "0000-00-00")) return value;
    std::array<char, longest_days> text{};
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(),
                      days_since_1970(number(value.substr(0, 4)), number(value.substr(5, 2)),
                                      number(value.substr(8, 2))));
    const std::size_t start = scratch.size();
    scratch.append(text.data(), end.ptr);
    return std::string_view{scratch}.substr(start);
}

/// The session's time zone is UTC.
std::string_view instant_text(std::string_view value, std::string& scratch) {
    constexpr std::string_view seconds = "0000-00-00 00:00:00";
    constexpr std::string_view fraction = ".000000";
    if (!value.ends_with("+00")) return value;
    const std::string_view local = value.substr(0, value.size() - 3);
    const std::string_view rest = local.substr(std::min(seconds.size(), local.size()));
    if (!has_form(local.substr(0, seconds.size()), seconds) || rest.size() == 1 ||
        !has_form(rest, fraction.substr(0, rest.size()))) {
        return value;
    }
    const std::size_t start = scratch.size();
    scratch += local;
    scratch[start + std::string_view{"0000-00-00"}.size()] = 'T';
    scratch += 'Z';
    return std::string_view{scratch}.substr(start);
}

std::string_view bytes_text(std::string_view value, std::string& scratch) {
    const std::size_t start = scratch.size();
    if (!append_bytes(scratch, value)) return value;
    const std::size_t end = scratch.size();
    scratch.reserve(end + (end - start + 2) / 3 * 4);
    append_base64(scratch, std::string_view{scratch}.substr(start));
    return std::string_view{scratch}.substr(end);
}

}  // namespace

header_form header_form_of(std::uint32_t type) noexcept {
    switch (type) {
        case type_oid::boolean:
            return header_form::boolean;
        case type_oid::bytea:
            return header_form::bytes;
        case type_oid::date:
            return header_form::date;
        case type_oid::timestamptz:
            return header_form::instant;
        default:
            return header_form::text;
    }
}

std::size_t header_text_bound(header_form form, std::string_view value) noexcept {
    switch (form) {
        case header_form::bytes:
            return 2 * value.size() + 4;  // the bytes stay before their base64
        case header_form::date:
            return longest_days;
        case header_form::instant:
            return value.size();
        case header_form::text:
        case header_form::boolean:
            break;
    }
    return 0;
}

std::string_view header_text(header_form form, std::string_view value, std::string& scratch) {
    switch (form) {
        case header_form::boolean:
            return value == "t" ? "true" : value == "f" ? "false" : value;
        case header_form::bytes:
            return bytes_text(value, scratch);
        case header_form::date:
            return date_text(value, scratch);
        case header_form::instant:
            return instant_text(value, scratch);
        case header_form::text:
            break;
    }
    return value;
}

}  // namespace walrelay::event
