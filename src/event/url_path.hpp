// Path and query of a URL with column values in them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "row_template.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::event {

/// A path that no row can lead out of where the sink map put it: a value is percent-encoded but for
/// RFC 3986's unreserved characters, so it stays inside its segment, and a segment that a row made
/// may not be empty, "." or "..", which servers and proxies take out. What the sink map wrote stays
/// as it is. Immutable.
class url_path {
public:
    /// `parts` are what url_path_parts() gave, with columns as slots; `shown` what
    /// shown_path_parts() did.
    explicit url_path(std::vector<row_template::part> parts,
                      std::vector<row_template::part> shown = {});

    [[nodiscard]] bool constant() const noexcept { return constant_; }

    [[nodiscard]] std::size_t bound(const row_values& row) const noexcept;

    /// Appends to `out`; the text starts with '/'. NULL is no value for a URL.
    [[nodiscard]] filled fill(const row_values& row, std::string& out) const;

    /// Some of it is secret.
    [[nodiscard]] bool hides() const noexcept { return !shown_.empty(); }

    /// Appends to `out` what may be shown of what fill() gave for the same row; where it hides().
    [[nodiscard]] std::string_view fill_shown(const row_values& row, std::string& out) const;

private:
    std::vector<row_template::part> parts_;
    std::vector<row_template::part> shown_;
    bool constant_ = true;
};

/// What follows scheme, host and port in the URL of a sink, as template parts. Refuses columns
/// before it, a fragment, and bytes that no URL may hold. The cause never quotes the URL: it may
/// hold a secret.
[[nodiscard]] result<std::vector<template_part>> url_path_parts(std::string_view url);

/// The same of a URL with *** for its secrets, whose columns are among those of `sent`: a secret
/// may have been a column's name, or have brought braces.
[[nodiscard]] std::vector<template_part> shown_path_parts(std::string_view masked_url,
                                                          const std::vector<template_part>& sent);

}  // namespace walrelay::event
