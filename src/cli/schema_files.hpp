// The files of sql/, as they were when walrelay was built.
#pragma once

#include <span>
#include <string_view>

namespace walrelay::cli {

struct schema_file {
    std::string_view name;  ///< "010_schema.sql"
    std::string_view sql;
};

/// In the order in which they are run. The text lives as long as the program.
std::span<const schema_file> schema_files();

}  // namespace walrelay::cli
