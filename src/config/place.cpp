#include "place.hpp"

#include <algorithm>
#include <map>

#include "nearest_name.hpp"
#include "quantity.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/core/joined.hpp"

namespace walrelay::config {

namespace {

// A path is for finding the place, not for showing the whole of a strange key.
constexpr std::size_t longest_key_in_path_bytes = 80;

std::string_view name_of(node_kind kind) {
    switch (kind) {
        case node_kind::nothing:
            return "nothing";
        case node_kind::scalar:
            return "a single value";
        case node_kind::list:
            return "a list";
        case node_kind::map:
            return "a map";
    }
    return "";
}

}  // namespace

void place::wrong_type(std::string_view expected) const {
    problem("expected " + std::string{expected} + ", got " + std::string{name_of(kind())});
}

std::string place::hint(std::string_view name, std::span<const std::string_view> names) const {
    if (names.empty()) return "; none is allowed here";
    if (!state_->found.may_suggest()) return "";
    const auto nearest = nearest_name(name, names);
    return (nearest ? ", did you mean " + std::string{*nearest} + "?" : ";") +
           " allowed: " + joined(names);
}

place place::below(const child& value, std::string name) const {
    return {*state_, value, path_ + std::move(name)};
}

std::optional<std::vector<place>> place::items(std::string_view expected) const {
    if (kind() != node_kind::list) {
        wrong_type(expected);
        return std::nullopt;
    }
    if (value_->children.empty()) {
        problem("expected " + std::string{expected} + ", got an empty list");
        return std::nullopt;
    }
    std::vector<place> items;
    for (const child& item : value_->children) {
        items.push_back(below(item, "[" + std::to_string(items.size()) + "]"));
    }
    return items;
}

std::optional<std::vector<std::pair<std::string, place>>> place::entries() const {
    std::vector<std::pair<std::string, place>> entries;
    if (kind() == node_kind::nothing) return entries;
    if (kind() != node_kind::map) {
        wrong_type("a map");
        return std::nullopt;
    }
    std::map<std::string_view, mark> seen;
    for (const child& value : value_->children) {
        place entry = below(
            value, (path_.empty() ? "" : ".") + printable(value.key, longest_key_in_path_bytes));
        const auto [first, is_new] = seen.emplace(value.key, value.key_at);
        if (is_new) {
            entries.emplace_back(value.key, std::move(entry));
        } else {
            entry.key_problem("duplicate key; it stands already at line " +
                              std::to_string(first->second.line) + ", column " +
                              std::to_string(first->second.column));
        }
    }
    return entries;
}

std::optional<scalar> place::text(std::string_view expected) const {
    if (kind() == node_kind::scalar) return state_->secrets.expand(value_->text, at_, path_);
    // {topic} without quotes is a map with one key that has no value.
    const bool template_without_quotes = kind() == node_kind::map && value_->children.size() == 1 &&
                                         value_->children.front().value->kind == node_kind::nothing;
    if (template_without_quotes) {
        problem("expected " + std::string{expected} +
                ", got a map; a text that begins with { needs quotes");
    } else {
        wrong_type(expected);
    }
    return std::nullopt;
}

std::optional<std::vector<std::pair<place, scalar>>> place::texts(std::string_view expected) const {
    std::vector<std::pair<place, scalar>> texts;
    if (kind() != node_kind::list) {
        auto single = text(expected);
        if (!single) return std::nullopt;
        texts.emplace_back(*this, std::move(*single));
        return texts;
    }
    const auto all = items(expected);
    if (!all) return std::nullopt;
    for (const place& item : *all) {
        if (auto each = item.text()) texts.emplace_back(item, std::move(*each));
    }
    if (texts.size() != all->size()) return std::nullopt;
    return texts;
}

void place::read(bool& out) const {
    constexpr std::string_view expected = "true or false";
    const auto value = text(expected);
    if (!value) return;
    if (value->text != "true" && value->text != "false") {
        return problem("expected true or false, got " + value->shown());
    }
    out = value->text == "true";
}

void place::read(std::uint64_t& out, std::uint64_t least, std::uint64_t most) const {
    const std::string expected =
        "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    const auto value = text(expected);
    if (!value) return;
    const auto number = parse_whole_number(value->text);
    if (!number || *number < least || *number > most) {
        return problem("expected " + expected + ", got " + value->shown());
    }
    out = *number;
}

void place::read(std::chrono::milliseconds& out, std::chrono::milliseconds least,
                 std::chrono::milliseconds most) const {
    const std::string expected = "a duration from " + to_text(least) + " to " + to_text(most) +
                                 " with its unit (ms, s, m, h)";
    const auto value = text(expected);
    if (!value) return;
    const auto duration = parse_duration(value->text);
    if (!duration || *duration < least || *duration > most) {
        return problem("expected " + expected + ", got " + value->shown());
    }
    out = *duration;
}

void place::read_size(std::uint64_t& out, std::uint64_t least, std::uint64_t most) const {
    const std::string expected = "a size from " + size_text(least) + " to " + size_text(most) +
                                 " with its unit (B, KiB, MiB, GiB, kB, MB, GB)";
    const auto value = text(expected);
    if (!value) return;
    const auto size = parse_size(value->text);
    if (!size || *size < least || *size > most) {
        return problem("expected " + expected + ", got " + value->shown());
    }
    out = *size;
}

std::optional<std::size_t> place::choice(std::initializer_list<std::string_view> allowed,
                                         std::initializer_list<std::string_view> later) const {
    const std::string names = joined(allowed);
    const std::string expected = (allowed.size() > 1 ? "one of " : "") + names;
    const auto value = text(expected);
    if (!value) return std::nullopt;
    const auto* const found = std::find(allowed.begin(), allowed.end(), value->text);
    if (found != allowed.end()) return static_cast<std::size_t>(found - allowed.begin());
    if (std::find(later.begin(), later.end(), value->text) != later.end()) {
        problem(value->shown() + " is not available yet; allowed: " + names);
    } else {
        problem("expected " + expected + ", got " + value->shown());
    }
    return std::nullopt;
}

section::section(const place& where, std::initializer_list<std::string_view> allowed,
                 std::initializer_list<std::string_view> later, explanation explain)
    : where_{where} {
    auto entries = where.entries();
    if (!entries) return;
    is_map_ = true;
    for (auto& [key, value] : *entries) {
        if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) {
            entries_.emplace_back(std::move(key), std::move(value));
            continue;
        }
        has_refused_keys_ = true;
        if (std::find(later.begin(), later.end(), key) != later.end()) {
            value.key_problem("this option is not available yet; leave it out");
        } else if (std::string why = explain != nullptr ? explain(key) : ""; !why.empty()) {
            value.key_problem(std::move(why));
        } else {
            value.key_problem("unknown key" + value.hint(key, {allowed.begin(), allowed.size()}));
        }
    }
}

const place* section::find(std::string_view key) const {
    const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const auto& each) { return each.first == key; });
    return entry == entries_.end() ? nullptr : &entry->second;
}

const place* section::require(std::string_view key) const {
    const place* const entry = find(key);
    if (entry == nullptr && is_map_)
        where_.key_problem("the key " + std::string{key} + " is missing");
    return entry;
}

}  // namespace walrelay::config
