// JSON that is taken apart and passed on as it is written, never rebuilt.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace walrelay {

/// The text is one JSON value (RFC 8259) in UTF-8. Numbers may have any size: Postgres' have, and
/// a library that reads them as doubles refuses 1e400. Depth costs a byte a level and no stack.
[[nodiscard]] bool is_json(std::string_view text);

/// Whether JSON that was accepted nests deeper than that: libraries need stack for each level.
[[nodiscard]] bool nests_deeper(std::string_view json, std::size_t levels) noexcept;

/// Walks the members of an object that is_json() has accepted. With any other text it gives
/// nonsense, but never reads outside.
class object_scanner {
public:
    explicit object_scanner(std::string_view text) noexcept : rest_{text} {}

    /// Past `c`, when that is the next character but for blanks.
    bool accept(char c) noexcept;

    /// The next value as it is written; a string with its quotes. Empty when there is none.
    std::string_view value() noexcept;

private:
    void skip_blanks() noexcept;
    /// One past the quote that closes the string which opens at `open`.
    [[nodiscard]] std::size_t end_of_string(std::size_t open) const noexcept;

    std::string_view rest_;
};

[[nodiscard]] bool is_string_literal(std::string_view literal) noexcept;

/// The value of a string literal of JSON that was accepted: a view of its inside, or, when it has
/// escapes, of what is appended to `scratch`, which is never longer than the literal.
[[nodiscard]] std::string_view unescaped(std::string_view literal, std::string& scratch);

}  // namespace walrelay
