#include "row_headers.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace walrelay::event {

namespace {

/// Takes the members of a JSON object apart. The text is known to be JSON, so this only finds where
/// things end; even so it never reads outside the text.
class object_scanner {
public:
    explicit object_scanner(std::string_view text) noexcept : rest_{text} {}

    /// Past `c`, when that is the next character but for blanks.
    bool accept(char c) noexcept {
        skip_blanks();
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    /// The next value as it is written; a string with its quotes. Empty when there is none.
    std::string_view value() noexcept {
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

    bool at_end() noexcept {
        skip_blanks();
        return rest_.empty();
    }

private:
    static bool blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

    void skip_blanks() noexcept {
        while (!rest_.empty() && blank(rest_.front()))
            rest_.remove_prefix(1);
    }

    /// One past the quote that closes the string which opens at `open`.
    std::size_t end_of_string(std::size_t open) const noexcept {
        std::size_t at = open + 1;
        while (at < rest_.size() && rest_[at] != '"')
            at += rest_[at] == '\\' ? 2 : 1;
        return std::min(at + 1, rest_.size());
    }

    std::string_view rest_;
};

bool is_string(std::string_view literal) noexcept {
    return literal.size() >= 2 && literal.front() == '"' && literal.back() == '"';
}

/// The value of a string literal: a view of its inside, or of `scratch` when it has escapes.
std::string_view unescaped(std::string_view literal, std::string& scratch) {
    const std::string_view inside = literal.substr(1, literal.size() - 2);
    if (inside.find('\\') == std::string_view::npos) return inside;
    const auto parsed = nlohmann::json::parse(literal, nullptr, /*allow_exceptions=*/false);
    const auto* text = parsed.get_ptr<const nlohmann::json::string_t*>();
    if (text == nullptr) return inside;
    const std::size_t start = scratch.size();
    scratch += *text;
    return std::string_view{scratch}.substr(start);
}

bool is_content_type(std::string_view name) noexcept {
    constexpr std::string_view lower = "content-type";
    if (name.size() != lower.size()) return false;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const char c = name[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != lower[i]) return false;
    }
    return true;
}

error headers_error(std::string cause) {
    return {"", "", "headers: " + std::move(cause), ""};
}

}  // namespace

std::size_t row_headers_bound(std::string_view object) noexcept {
    return object.find('\\') == std::string_view::npos ? 0 : object.size();
}

result<void> take_row_headers(std::string_view object, record& out) {
    const auto not_an_object = [] {
        return headers_error("the column does not hold a JSON object");
    };
    object_scanner scanner{object};
    if (!scanner.accept('{') || !nlohmann::json::accept(object)) return not_an_object();
    std::size_t members = 0;
    std::size_t bytes = 0;
    if (scanner.accept('}')) return scanner.at_end() ? result<void>{} : not_an_object();
    do {
        const std::string_view name_literal = scanner.value();
        if (!is_string(name_literal) || !scanner.accept(':')) return not_an_object();
        const std::string_view literal = scanner.value();
        if (literal.empty()) return not_an_object();
        if (++members > limit_row_headers) {
            return headers_error("more than " + std::to_string(limit_row_headers) + " members");
        }
        header_view header{unescaped(name_literal, out.scratch), std::nullopt};
        if (literal != "null") {
            header.value = is_string(literal) ? unescaped(literal, out.scratch) : literal;
        }
        bytes += header.name.size() + header.value.value_or("").size();
        if (bytes > limit_row_header_bytes) {
            return headers_error("more than " + std::to_string(limit_row_header_bytes) +
                                 " bytes of names and values");
        }
        if (!is_content_type(header.name)) {
            out.headers.push_back(header);
        } else if (header.value) {
            out.content_type = *header.value;
        }
    } while (scanner.accept(','));
    return scanner.accept('}') && scanner.at_end() ? result<void>{} : not_an_object();
}

}  // namespace walrelay::event
