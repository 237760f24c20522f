#include "destination.hpp"

#include <algorithm>
#include <functional>

#include "walrelay/core/escape.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::event {

namespace {

constexpr std::size_t longest_topic = 249;  // Kafka's limit: the name of a folder is made of it

std::uint64_t hash_of(std::size_t sink, std::string_view text) noexcept {
    // The sink spreads over all bits, so that one address in two sinks is two targets.
    std::uint64_t mixed = std::hash<std::string_view>{}(text) ^ ((sink + 1) * 0x9E3779B97F4A7C15U);
    mixed ^= mixed >> 32;
    mixed *= 0xD6E8FEB86659FD93U;
    return mixed ^ (mixed >> 32);
}

bool topic_character(char c) noexcept {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

}  // namespace

std::string fault_of_topic(std::string_view topic, const std::vector<std::string>& allowed) {
    const auto fault = [&](std::string_view why) {
        return "topic '" + printable(topic, 64) + "' " + std::string{why};
    };
    if (topic.empty()) return "the topic is empty";
    if (topic.size() > longest_topic) {
        return fault("has " + std::to_string(topic.size()) + " bytes; Kafka allows 249");
    }
    if (!std::all_of(topic.begin(), topic.end(), topic_character)) {
        return fault("holds a character other than A-Z a-z 0-9 . _ -");
    }
    if (topic == "." || topic == "..") return fault("is not a name");
    if (topic.starts_with("__")) return fault("belongs to Kafka itself");
    if (!allowed.empty() &&
        std::none_of(allowed.begin(), allowed.end(),
                     [&](const std::string& glob) { return glob_matches(glob, topic); })) {
        return fault("is not among the topics that the route allows");
    }
    return {};
}

destination::destination(std::size_t sink, address where) : sink_{sink}, where_{std::move(where)} {
    const auto* topic = std::get_if<topic_address>(&where_);
    const auto* path = std::get_if<url_path>(&where_);
    if ((topic != nullptr && !topic->name.constant()) || (path != nullptr && !path->constant()))
        return;
    std::string buffer;
    constant_hash_ = hash_of(sink_, fill(row_values{}, buffer).text);
}

std::string_view destination::what() const noexcept {
    return std::holds_alternative<topic_address>(where_) ? "topic" : "url";
}

std::uint64_t destination::hash(const row_values& row, std::string& buffer) const {
    if (constant_hash_) return *constant_hash_;
    buffer.clear();
    return hash_of(sink_, fill(row, buffer).text);
}

std::size_t destination::bound(const row_values& row) const noexcept {
    if (const auto* topic = std::get_if<topic_address>(&where_)) return topic->name.bound(row);
    if (const auto* path = std::get_if<url_path>(&where_)) return path->bound(row);
    return 0;
}

filled destination::fill(const row_values& row, std::string& out) const {
    if (const auto* topic = std::get_if<topic_address>(&where_)) return topic->name.fill(row, out);
    if (const auto* path = std::get_if<url_path>(&where_)) return path->fill(row, out);
    return {};
}

bool destination::hides() const noexcept {
    const auto* path = std::get_if<url_path>(&where_);
    return path != nullptr && path->hides();
}

std::string_view destination::fill_shown(const row_values& row, std::string& out) const {
    const auto* path = std::get_if<url_path>(&where_);
    return path == nullptr ? std::string_view{} : path->fill_shown(row, out);
}

std::string destination::fault_of(std::string_view text) const {
    if (const auto* topic = std::get_if<topic_address>(&where_)) {
        return fault_of_topic(text, topic->allowed);
    }
    return {};
}

}  // namespace walrelay::event
