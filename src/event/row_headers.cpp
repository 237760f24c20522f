#include "row_headers.hpp"

#include "walrelay/core/header_name.hpp"
#include "walrelay/core/json_text.hpp"

namespace walrelay::event {

namespace {

error headers_error(std::string cause) {
    return {"", "", "headers: " + std::move(cause), ""};
}

}  // namespace

std::size_t row_headers_bound(std::string_view object) noexcept {
    return object.find('\\') == std::string_view::npos ? 0 : object.size();
}

result<void> header_list::add(std::string_view name, std::optional<std::string_view> value,
                              bool secret) {
    if (++members_ > limit_row_headers) {
        return headers_error("more than " + std::to_string(limit_row_headers) + " members");
    }
    bytes_ += name.size() + value.value_or("").size();
    if (bytes_ > limit_row_header_bytes) {
        return headers_error("more than " + std::to_string(limit_row_header_bytes) +
                             " bytes of names and values");
    }
    if (content_type_ == content_type::listed || !same_name(name, "content-type")) {
        out_.headers.push_back({name, value, secret});
    } else if (value) {
        out_.content_type = *value;
        out_.content_type_secret = secret;
    }
    return {};
}

result<void> take_row_headers(std::string_view object, std::string& scratch, header_list& out) {
    const auto not_an_object = [] {
        return headers_error("the column does not hold a JSON object");
    };
    object_scanner scanner{object};
    if (!scanner.accept('{') || !is_json(object)) return not_an_object();
    if (scanner.accept('}')) return {};
    do {
        const std::string_view name = unescaped(scanner.value(), scratch);
        scanner.accept(':');
        const std::string_view literal = scanner.value();
        std::optional<std::string_view> value;
        if (literal != "null") {
            value = is_string_literal(literal) ? unescaped(literal, scratch) : literal;
        }
        if (auto added = out.add(name, value); !added) return added;
    } while (scanner.accept(','));
    return {};
}

}  // namespace walrelay::event
