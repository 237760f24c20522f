#include "header_name.hpp"

#include <algorithm>
#include <array>

namespace walrelay::config {

bool is_header_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
    });
}

bool is_reserved_header(std::string_view name) {
    // After "expect" a server may answer 100 first, which would be taken for the answer.
    constexpr std::array<std::string_view, 9> names{"connection", "content-length",    "expect",
                                                    "host",       "keep-alive",        "te",
                                                    "trailer",    "transfer-encoding", "upgrade"};
    const std::string lower = lower_case(name);
    return std::find(names.begin(), names.end(), lower) != names.end() ||
           lower.starts_with("proxy-") || lower.starts_with("webhook-") ||
           lower.starts_with("x-walrelay-");
}

std::string lower_case(std::string_view name) {
    std::string out{name};
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

}  // namespace walrelay::config
