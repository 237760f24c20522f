// A value of the file together with where it stands: what all readers of sections work on.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "document.hpp"
#include "findings.hpp"
#include "secrets.hpp"

namespace walrelay::config {

/// What one reading shares between its sections.
struct reading_state {
    findings& found;
    secret_expander& secrets;
};

/// Cheap to copy but for its path. Valid while the document and the state are.
class place {
public:
    place(reading_state& state, const child& value, std::string path)
        : state_{&state},
          value_{value.value.get()},
          at_{value.at},
          key_at_{value.key_at},
          path_{std::move(path)} {}

    [[nodiscard]] node_kind kind() const noexcept { return value_->kind; }

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

    /// Of its key; for a model's `at`.
    [[nodiscard]] position position_in_file() const { return state_->found.at(key_at_); }

    void problem(std::string text) const { state_->found.problem(at_, path_, std::move(text)); }

    void warning(std::string text) const { state_->found.warning(at_, path_, std::move(text)); }

    /// A problem of the key rather than of its value.
    void key_problem(std::string text) const {
        state_->found.problem(key_at_, path_, std::move(text));
    }

    /// "expected …, got a list"; for scalars the value as well, unless it is secret.
    void wrong_type(std::string_view expected) const;
    /// What follows an unknown name: "did you mean …? allowed: …".
    [[nodiscard]] std::string hint(std::string_view name,
                                   std::span<const std::string_view> names) const;

    /// The items of a list; a problem if it is none, or is empty.
    [[nodiscard]] std::optional<std::vector<place>> items(std::string_view expected) const;

    /// The entries of a map with keys of the user's own; duplicates are reported and left out. No
    /// value at all is an empty map: a section whose lines are all commented out.
    [[nodiscard]] std::optional<std::vector<std::pair<std::string, place>>> entries() const;

    /// The text of a scalar with its secrets; a problem if it is none.
    [[nodiscard]] std::optional<scalar> text(std::string_view expected = "a string") const;
    /// The same, of one scalar or of a list of at least one.
    [[nodiscard]] std::optional<std::vector<std::pair<place, scalar>>> texts(
        std::string_view expected) const;

    // Each reports a problem, and leaves `out` alone, if the value is not of its kind and range.
    void read(bool& out) const;
    void read(std::uint64_t& out, std::uint64_t least, std::uint64_t most) const;
    void read(std::chrono::milliseconds& out, std::chrono::milliseconds least,
              std::chrono::milliseconds most) const;
    void read_size(std::uint64_t& out, std::uint64_t least, std::uint64_t most) const;
    /// The index in `allowed`; values of `later` are refused as not available yet.
    [[nodiscard]] std::optional<std::size_t> choice(
        std::initializer_list<std::string_view> allowed,
        std::initializer_list<std::string_view> later = {}) const;

private:
    [[nodiscard]] place below(const child& value, std::string name) const;

    reading_state* state_;
    const node* value_;
    mark at_;
    mark key_at_;
    std::string path_;
};

/// A map with known keys. Making one reports unknown and duplicate keys.
class section {
public:
    /// What to say of a key that is not known, where there is more to say than that; else empty.
    using explanation = std::string (*)(std::string_view key);

    /// `later`: keys that are refused as not available yet. Not a map: a problem, and no keys.
    section(const place& where, std::initializer_list<std::string_view> allowed,
            std::initializer_list<std::string_view> later = {}, explanation explain = nullptr);

    [[nodiscard]] bool is_map() const noexcept { return is_map_; }

    /// Some key was not known or not available, and has been reported.
    [[nodiscard]] bool has_refused_keys() const noexcept { return has_refused_keys_; }

    [[nodiscard]] const place* find(std::string_view key) const;
    /// A missing key is a problem at the section's key.
    [[nodiscard]] const place* require(std::string_view key) const;

private:
    place where_;
    bool is_map_ = false;
    bool has_refused_keys_ = false;
    std::vector<std::pair<std::string, place>> entries_;
};

}  // namespace walrelay::config
