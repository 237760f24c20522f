#include "topic_name.hpp"

#include <algorithm>

#include "walrelay/core/escape.hpp"

namespace walrelay::sink::kafka {

namespace {

constexpr std::size_t longest_name = 249;

bool allowed(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

}  // namespace

std::optional<std::string> topic_name_fault(std::string_view name) {
    const auto because = [&](const std::string& why) {
        return "topic \"" + printable(name, 64) + "\" is not allowed: " + why;
    };
    if (name.empty()) return because("the name is empty");
    if (name.size() > longest_name) {
        return because("the name has " + std::to_string(name.size()) + " bytes, at most " +
                       std::to_string(longest_name) + " are allowed");
    }
    if (!std::all_of(name.begin(), name.end(), allowed)) {
        return because("only letters, digits, '.', '_' and '-' may be in a name");
    }
    if (name == "." || name == "..") return because("Kafka reserves this name");
    if (name.starts_with("__")) return because("names that begin with \"__\" are Kafka's own");
    return std::nullopt;
}

}  // namespace walrelay::sink::kafka
