// Facts in, findings out: what would stop or hurt the relay. Pure.
#pragma once

#include <string>
#include <vector>

#include "facts.hpp"
#include "finding.hpp"
#include "walrelay/config/model.hpp"

namespace walrelay::cli {

/// What the findings are about.
struct judged_map {
    const config::model& model;
    std::string file;  ///< the sink map's path, for mends that call walrelay again
};

[[nodiscard]] std::vector<finding> judge(const facts& found, const judged_map& map);

/// A connection that could not be made.
[[nodiscard]] finding judge_connection(const postgres::sql_error& failure);

// The parts of judge(); each appends to `out`.
void judge_server(const facts& found, const judged_map& map, std::vector<finding>& out);
void judge_rights(const facts& found, const judged_map& map, std::vector<finding>& out);
void judge_publications(const facts& found, const judged_map& map, std::vector<finding>& out);
void judge_tables(const facts& found, const judged_map& map, std::vector<finding>& out);
void judge_slot(const facts& found, const judged_map& map, std::vector<finding>& out);
void judge_retention(const facts& found, const judged_map& map, std::vector<finding>& out);

/// "shop"."mail", for statements; table shop.mail, as findings name it.
[[nodiscard]] std::string quoted_table(const std::string& schema, const std::string& name);
[[nodiscard]] std::string table_subject(const std::string& schema, const std::string& name);
/// Null when the server has none of that name.
[[nodiscard]] const postgres::publication_state* find_publication(const facts& found,
                                                                  const std::string& name);
/// "1.5 GiB"
[[nodiscard]] std::string readable_bytes(std::uint64_t bytes);
/// "walrelay sql -c relay.yaml --apply"
[[nodiscard]] std::string apply_command(const judged_map& map);

}  // namespace walrelay::cli
