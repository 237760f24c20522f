// The two little languages of the sink map: templates ("orders/{order_id}") and globs
// ("billing.*"). Only their syntax: what a column name means is decided by who fills the template.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/core/result.hpp"

namespace walrelay {

/// A piece of a template: text that is copied as it is, or the name of a column whose value goes
/// there. Parts hold their text themselves.
struct template_part {
    bool is_column = false;
    std::string text;

    friend bool operator==(const template_part&, const template_part&) = default;
};

/// `{column}` is a column; `{{` and `}}` are one brace each. Adjacent literals are one part, a
/// literal is never empty, and an empty template has no parts. A column name has 1 to 63 bytes
/// and no brace; it is taken as it stands (case and blanks count).
/// The error's cause tells the byte offset and what is wrong there, and never quotes the text,
/// because a template may have been made with a secret.
[[nodiscard]] result<std::vector<template_part>> parse_template(std::string_view text);

/// The text of a template without columns; nothing if it has some.
[[nodiscard]] std::optional<std::string> constant_text(const std::vector<template_part>& parts);

/// `*` stands for any run of characters (also none), `?` for one UTF-8 character (a byte that is
/// not part of one counts as one), all else for itself; case-sensitive, there is no escape. Takes
/// no more than size(glob) * size(text) steps whatever the glob, and with one `*` size(text).
[[nodiscard]] bool glob_matches(std::string_view glob, std::string_view text) noexcept;

}  // namespace walrelay
