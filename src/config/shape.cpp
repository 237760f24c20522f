#include <algorithm>

#include "sections.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::config {

namespace {

std::optional<std::string> read_optional_template(const section& keys, std::string_view key) {
    const place* const at = keys.find(key);
    if (at == nullptr) return std::nullopt;
    auto text = read_template(*at);
    if (!text) return std::nullopt;
    return std::move(text->text);
}

std::optional<std::string> read_column(const place& where) {
    auto text = where.text("a column's name");
    if (!text) return std::nullopt;
    if (!is_sql_name(text->text)) {
        where.problem("expected a column's name of 1 to 63 bytes, got " + text->shown());
    } else if (text->text.starts_with('{') && text->text.ends_with('}')) {
        where.problem("expected the bare name of one column, without braces, got " + text->shown());
    }
    return std::move(text->text);
}

}  // namespace

void read_shape(const place& where, std::variant<walrelay_shape, mapped_shape>& out) {
    constexpr std::string_view expected = "a map such as { key: \"{customer_id}\", payload: body }";
    if (where.kind() == node_kind::list) return where.wrong_type(expected);
    if (where.kind() == node_kind::scalar) {
        const auto name = where.text();
        if (!name) return;
        if (name->text == "debezium") {
            return where.problem("the shape debezium is not available yet; expected " +
                                 std::string{expected});
        }
        return where.problem("expected " + std::string{expected} + ", got " + name->shown());
    }
    const section keys{where, {"id", "key", "type", "payload", "headers"}};
    mapped_shape& shape = out.emplace<mapped_shape>();
    shape.id = read_optional_template(keys, "id");
    shape.key = read_optional_template(keys, "key");
    shape.type = read_optional_template(keys, "type");
    if (shape.id) {
        const auto parts = parse_template(*shape.id);
        if (std::none_of(parts->begin(), parts->end(),
                         [](const auto& part) { return part.is_column; })) {
            keys.find("id")->problem(
                "the id must hold a {column}: with the same id for all rows, consumers drop all "
                "but the first");
        }
    }
    if (const place* const at = keys.require("payload"))
        shape.payload = read_column(*at).value_or("");
    if (const place* const at = keys.find("headers")) shape.headers = read_column(*at);
}

}  // namespace walrelay::config
