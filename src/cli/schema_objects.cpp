#include "schema_objects.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace walrelay::cli {

namespace {

constexpr std::array<std::pair<std::string_view, const char*>, 3> forms{{
    {"create table if not exists walrelay.", "table"},
    {"create or replace view walrelay.", "view"},
    {"create or replace function walrelay.", "function"},
}};

void take_line(std::string_view line, std::vector<schema_object>& objects) {
    for (const auto& [form, kind] : forms) {
        if (!line.starts_with(form)) continue;
        line.remove_prefix(form.size());
        schema_object object{kind, std::string{line.substr(0, line.find_first_of(" (;"))}};
        if (std::find(objects.begin(), objects.end(), object) == objects.end())
            objects.push_back(std::move(object));
        return;
    }
}

}  // namespace

std::vector<schema_object> schema_objects(std::span<const schema_file> files) {
    std::vector<schema_object> objects;
    for (const auto& file : files) {
        auto text = file.sql;
        while (!text.empty()) {
            const auto end = std::min(text.find('\n'), text.size());
            take_line(text.substr(0, end), objects);
            text.remove_prefix(std::min(end + 1, text.size()));
        }
    }
    return objects;
}

}  // namespace walrelay::cli
