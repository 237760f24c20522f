// What the files of sql/ make, to find out what an older installation lacks. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "schema_files.hpp"

namespace walrelay::cli {

struct schema_object {
    std::string kind;  ///< table, view or function
    std::string name;  ///< without the schema

    friend bool operator==(const schema_object&, const schema_object&) = default;
};

/// Each once, in the order of the files. Reads the statements by their form, as sql/ has them:
/// `create table if not exists walrelay.NAME`, `create or replace function walrelay.NAME(`,
/// `create or replace view walrelay.NAME`, at the beginning of a line.
[[nodiscard]] std::vector<schema_object> schema_objects(std::span<const schema_file> files);

}  // namespace walrelay::cli
