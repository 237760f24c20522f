// Rows of walrelay.parked for people and for scripts. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "parked_facts.hpp"
#include "walrelay/config/model.hpp"

namespace walrelay::cli {

/// A table whose lines have `width` characters at most, the error being cut; 0: not cut.
[[nodiscard]] std::string parked_table(const parked_list& list, std::size_t width);
[[nodiscard]] std::string parked_json(const parked_list& list);

/// "3 parked in sink hooks", "1 parked that no route took"
[[nodiscard]] std::string count_text(const parked_count& count);

/// All of a row: what is stored, its columns, and what the routes of `model` make of it.
[[nodiscard]] std::string parked_page(parked_details&& row, const config::model& model);
[[nodiscard]] std::string parked_page_json(parked_details&& row, const config::model& model);

}  // namespace walrelay::cli
