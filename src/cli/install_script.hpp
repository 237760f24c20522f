// The SQL that prepares a database for a relay, in steps. Pure: nothing is asked of a server, so
// the script finds out itself what is there already, and may be run again and again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "walrelay/config/model.hpp"

namespace walrelay::cli {

struct install_step {
    enum class kind : std::uint8_t { schema, rights, publication, slot };

    kind what = kind::schema;
    std::string title;  ///< "publication \"walrelay\""
    std::string sql;    ///< one transaction, with its begin and commit
};

/// Schema and roles, without a sink map.
[[nodiscard]] std::vector<install_step> install_steps();

/// All that the sink map needs, in the order in which it has to be made: schema, what `relay_role`
/// (the user of source.conninfo) may do, publication, slot. The slot comes last and alone: a slot
/// that is older than its publication can't be read, and making one fails in a transaction that
/// wrote.
[[nodiscard]] std::vector<install_step> install_steps(const config::model& model,
                                                      const std::string& relay_role);

/// The whole as a script for psql or any other client.
[[nodiscard]] std::string as_script(const std::vector<install_step>& steps);

/// Why no slot is made where the record says that there was one, for exit code 3.
[[nodiscard]] std::string refused_slot_text(const std::string& slot);
/// The SQL that takes the record away.
[[nodiscard]] std::string forget_record_sql(const std::string& slot);

/// The tables that the routes name, each once, in the order of the routes.
struct routed_table {
    std::string schema;
    std::string name;

    friend bool operator==(const routed_table&, const routed_table&) = default;
};

[[nodiscard]] std::vector<routed_table> routed_tables(const config::model& model);

/// What the publication must send: the tables of the routes, and the marks of operators.
[[nodiscard]] std::vector<routed_table> published_tables(const config::model& model);

/// The SQL that makes a publication send the marks of operators.
[[nodiscard]] std::string publish_marks_sql(const std::string& publication);

/// The walrelay schema is needed: the record is kept in it, or a route reads one of its tables.
[[nodiscard]] bool needs_schema(const config::model& model);

}  // namespace walrelay::cli
