#include "walrelay/core/json_text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "walrelay/core/escape.hpp"

namespace walrelay {

namespace {

bool blank(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

/// -1 when it is not a hex digit.
int hex_digit(char c) noexcept {
    if (digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// The UTF-16 unit in the four digits at the start of `text`; -1 when they are not there.
std::int32_t unit_at(std::string_view text) noexcept {
    if (text.size() < 4) return -1;
    std::int32_t unit = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const int value = hex_digit(text[i]);
        if (value < 0) return -1;
        unit = unit * 16 + value;
    }
    return unit;
}

bool high_surrogate(std::int32_t unit) noexcept {
    return unit >= 0xD800 && unit <= 0xDBFF;
}

bool low_surrogate(std::int32_t unit) noexcept {
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/// Checks the grammar from left to right; what is open is kept in a string, not on the stack.
class grammar {
public:
    explicit grammar(std::string_view text) noexcept : rest_{text} {}

    bool accept() {
        while (value()) {
            if (entered_) continue;
            bool next = false;
            while (!next) {
                skip_blanks();
                if (open_.empty()) return rest_.empty();
                if (take(',')) {
                    if (open_.back() == '{' && !name()) return false;
                    next = true;
                } else if (take(open_.back() == '{' ? '}' : ']')) {
                    open_.pop_back();
                } else {
                    return false;
                }
            }
        }
        return false;
    }

private:
    /// A value, or, with `entered_`, what opens one that has a first value of its own.
    bool value() {
        entered_ = false;
        skip_blanks();
        if (rest_.empty()) return false;
        switch (rest_.front()) {
            case '{':
                return enter('{', '}') && (!entered_ || name());
            case '[':
                return enter('[', ']');
            case '"':
                return string();
            case 't':
                return word("true");
            case 'f':
                return word("false");
            case 'n':
                return word("null");
            default:
                return number();
        }
    }

    bool enter(char opens, char closes) {
        rest_.remove_prefix(1);
        skip_blanks();
        if (take(closes)) return true;
        open_ += opens;
        entered_ = true;
        return true;
    }

    bool name() {
        skip_blanks();
        if (!string()) return false;
        skip_blanks();
        return take(':');
    }

    bool string() {
        if (!take('"')) return false;
        while (!rest_.empty()) {
            const char c = rest_.front();
            if (static_cast<unsigned char>(c) < 0x20) return false;
            rest_.remove_prefix(1);
            if (c == '"') return true;
            if (c == '\\' && !escape()) return false;
        }
        return false;
    }

    bool escape() {
        if (rest_.empty()) return false;
        const char c = rest_.front();
        rest_.remove_prefix(1);
        if (c != 'u') return std::string_view{"\"\\/bfnrt"}.find(c) != std::string_view::npos;
        const std::int32_t unit = unit_at(rest_);
        if (unit < 0 || low_surrogate(unit)) return false;
        rest_.remove_prefix(4);
        if (!high_surrogate(unit)) return true;
        if (!rest_.starts_with("\\u") || !low_surrogate(unit_at(rest_.substr(2)))) return false;
        rest_.remove_prefix(6);
        return true;
    }

    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            return digits();
        }
        return true;
    }

    bool digits() {
        const auto size = static_cast<std::size_t>(
            std::find_if_not(rest_.begin(), rest_.end(), digit) - rest_.begin());
        rest_.remove_prefix(size);
        return size > 0;
    }

    bool word(std::string_view expected) {
        if (!rest_.starts_with(expected)) return false;
        rest_.remove_prefix(expected.size());
        return true;
    }

    bool take(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    void skip_blanks() {
        while (!rest_.empty() && blank(rest_.front()))
            rest_.remove_prefix(1);
    }

    std::string_view rest_;
    std::string open_;  ///< '{' or '[' for each level
    bool entered_ = false;
};

void append_utf8(std::string& out, std::uint32_t point) {
    const auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (point < 0x80) return add(point);
    if (point < 0x800) {
        add(0xC0 | (point >> 6));
    } else if (point < 0x10000) {
        add(0xE0 | (point >> 12));
        add(0x80 | ((point >> 6) & 0x3F));
    } else {
        add(0xF0 | (point >> 18));
        add(0x80 | ((point >> 12) & 0x3F));
        add(0x80 | ((point >> 6) & 0x3F));
    }
    add(0x80 | (point & 0x3F));
}

/// Takes the escape after a backslash off `rest`. It was accepted, so it is whole.
void append_escape(std::string& out, std::string_view& rest) {
    constexpr std::string_view letters = "bfnrt";
    constexpr std::string_view meant = "\b\f\n\r\t";
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c != 'u') {
        const auto at = letters.find(c);
        out += at == std::string_view::npos ? c : meant[at];
        return;
    }
    auto point = static_cast<std::uint32_t>(unit_at(rest));
    rest.remove_prefix(std::min<std::size_t>(4, rest.size()));
    if (high_surrogate(static_cast<std::int32_t>(point)) && rest.size() >= 6) {
        const auto low = static_cast<std::uint32_t>(unit_at(rest.substr(2)));
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        rest.remove_prefix(6);
    }
    append_utf8(out, point);
}

}  // namespace

bool nests_deeper(std::string_view json, std::size_t levels) noexcept {
    std::size_t level = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (in_string) {
            if (c == '\\') ++i;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++level > levels) return true;
        } else if (c == ']' || c == '}') {
            --level;
        }
    }
    return false;
}

bool is_json(std::string_view text) {
    return is_utf8(text) && grammar{text}.accept();
}

bool object_scanner::accept(char c) noexcept {
    skip_blanks();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
}

std::string_view object_scanner::value() noexcept {
    skip_blanks();
    std::size_t depth = 0;
    std::size_t size = 0;
    while (size < rest_.size()) {
        const char c = rest_[size];
        if (c == '"') {
            size = end_of_string(size);
        } else if (c == '{' || c == '[') {
            ++depth;
            ++size;
        } else if (c == '}' || c == ']') {
            if (depth == 0) break;
            --depth;
            ++size;
        } else if (depth == 0 && (c == ',' || c == ':' || blank(c))) {
            break;
        } else {
            ++size;
            continue;  // inside a number or word, or between the members of a nested value
        }
        if (depth == 0) break;
    }
    const std::string_view found = rest_.substr(0, size);
    rest_.remove_prefix(found.size());
    return found;
}

void object_scanner::skip_blanks() noexcept {
    while (!rest_.empty() && blank(rest_.front()))
        rest_.remove_prefix(1);
}

std::size_t object_scanner::end_of_string(std::size_t open) const noexcept {
    std::size_t at = open + 1;
    while (at < rest_.size() && rest_[at] != '"')
        at += rest_[at] == '\\' ? 2 : 1;
    return std::min(at + 1, rest_.size());
}

bool is_string_literal(std::string_view literal) noexcept {
    return literal.size() >= 2 && literal.front() == '"' && literal.back() == '"';
}

std::string_view unescaped(std::string_view literal, std::string& scratch) {
    std::string_view rest = literal.substr(1, literal.size() - 2);
    if (rest.find('\\') == std::string_view::npos) return rest;
    const std::size_t start = scratch.size();
    while (!rest.empty()) {
        const std::size_t plain = std::min(rest.find('\\'), rest.size());
        scratch += rest.substr(0, plain);
        rest.remove_prefix(plain);
        if (rest.size() < 2) break;
        rest.remove_prefix(1);
        append_escape(scratch, rest);
    }
    return std::string_view{scratch}.substr(start);
}

}  // namespace walrelay
