#include "walrelay/core/header_name.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace walrelay {

namespace {

constexpr std::array<bool, 256> token_bytes = [] {
    std::array<bool, 256> set{};
    for (const char c : std::string_view{"!#$%&'*+-.^_`|~0123456789"
                                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}) {
        set[static_cast<std::uint8_t>(c)] = true;
    }
    return set;
}();

constexpr std::array<std::string_view, 9> reserved_names{
    "connection", "content-length",    "expect", "host", "keep-alive", "te",
    "trailer",    "transfer-encoding", "upgrade"};
constexpr std::array<std::string_view, 3> reserved_prefixes{"proxy-", "webhook-", "x-walrelay-"};

}  // namespace

bool same_name(std::string_view left, std::string_view right) noexcept {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    return left.size() == right.size() &&
           std::equal(left.begin(), left.end(), right.begin(),
                      [&](char a, char b) { return lower(a) == lower(b); });
}

bool is_header_name(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return token_bytes[static_cast<std::uint8_t>(c)];
    });
}

bool is_reserved_header(std::string_view name) noexcept {
    return std::any_of(reserved_names.begin(), reserved_names.end(),
                       [&](std::string_view reserved) { return same_name(name, reserved); }) ||
           std::any_of(reserved_prefixes.begin(), reserved_prefixes.end(),
                       [&](std::string_view prefix) {
                           return same_name(name.substr(0, prefix.size()), prefix);
                       });
}

}  // namespace walrelay
