#include "install_script.hpp"

#include <algorithm>
#include <string_view>

#include "schema_files.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

/// `body` between dollar quotes whose tag doesn't occur in it: names come from the sink map.
std::string dollar_quoted(const std::string& body) {
    std::string tag = "$$";
    for (int i = 0; body.find(tag) != std::string::npos; ++i) {
        tag = "$q" + std::to_string(i) + "$";
    }
    return tag + "\n" + body + tag;
}

/// `settings` are SET LOCAL: a pooled connection is given back as it was.
std::string in_transaction(std::string_view settings, const std::string& statements) {
    std::string out =
        "begin;\nset local search_path = pg_catalog, pg_temp;\n"
        // Without it a backslash in a name would end the literal somewhere else.
        "set local standard_conforming_strings = on;\n";
    out += settings;
    out += statements;
    out += "commit;\n";
    return out;
}

std::string block(const std::string& body) {
    return "do " + dollar_quoted(body) + ";\n";
}

/// 'a', 'b'
std::string literals(const std::vector<std::string>& texts) {
    std::string out;
    for (const auto& text : texts) {
        if (!out.empty()) out += ", ";
        out += quote_literal(text);
    }
    return out;
}

install_step schema_step() {
    std::string files;
    for (const auto& file : schema_files()) {
        files += "\n-- sql/";
        files += file.name;
        files += '\n';
        files += file.sql;
    }
    files += '\n';
    return {install_step::kind::schema, "schema and roles",
            in_transaction("set local client_min_messages = warning;\n", files)};
}

install_step rights_step(const config::model& model, const std::string& role) {
    const auto name = quote_literal(role);
    const auto identifier = quote_identifier(role);
    std::string body = "begin\n";
    body += "    if not exists (select from pg_roles where rolname = " + name + ") then\n";
    body += "        raise exception using errcode = '42704',\n";
    body += "            message = " +
            quote_literal("role " + identifier + " of source.conninfo does not exist") + ",\n";
    body +=
        "            hint = " + quote_literal("create role " + identifier + " login replication;") +
        ";\n";
    body += "    end if;\n";
    if (needs_schema(model)) {
        body += "    if not pg_has_role(" + name + ", 'walrelay_relay', 'MEMBER') then\n";
        body += "        grant walrelay_relay to " + identifier + ";\n";
        body += "    end if;\n";
    }
    body += "    if not (select rolsuper or rolreplication from pg_roles where rolname = " + name +
            ") then\n";
    body += "        begin\n";
    body += "            alter role " + identifier + " replication;\n";
    body += "        exception when insufficient_privilege then\n";
    body += "            raise warning using\n";
    body += "                message = " +
            quote_literal("role " + identifier +
                          " needs REPLICATION, and only a superuser may give it") +
            ",\n";
    body +=
        "                hint = " + quote_literal("alter role " + identifier + " replication;") +
        ";\n";
    body += "        end;\n";
    body += "    end if;\nend\n";
    return {install_step::kind::rights, "role " + identifier, in_transaction("", block(body))};
}

install_step publication_step(const config::model& model) {
    const auto& names = model.source.publications;
    std::string body = "declare\n    wanted text;\nbegin\n";
    for (const auto& name : names) {
        body +=
            "    if not exists (select from pg_publication where pubname = " + quote_literal(name) +
            ") then\n";
        body += "        create publication " + quote_identifier(name) +
                " with (publish = 'insert', publish_via_partition_root = true);\n";
        body += "    end if;\n";
    }
    std::vector<std::string> tables;
    for (const auto& table : published_tables(model)) {
        tables.push_back(quote_identifier(table.schema) + "." + quote_identifier(table.name));
    }
    const auto in_ours = "p.pubname in (" + literals(names) + ")";
    body += "    foreach wanted in array array[" + literals(tables) + "]::text[] loop\n";
    body += "        continue when exists (\n";
    body +=
        "            select from pg_publication p join pg_publication_rel r on r.prpubid = p.oid\n";
    body += "            where " + in_ours + " and r.prrelid = wanted::regclass);\n";
    // FOR ALL TABLES and, since 15, FOR TABLES IN SCHEMA have no row of their own for a table.
    body += "        continue when exists (\n";
    body +=
        "            select from pg_publication_tables p join pg_class c on c.relname = "
        "p.tablename\n";
    body +=
        "                join pg_namespace n on n.oid = c.relnamespace and n.nspname = "
        "p.schemaname\n";
    body += "            where " + in_ours + " and c.oid = wanted::regclass);\n";
    body += "        execute format('alter publication %I add table %s', " +
            quote_literal(names.front()) + ", wanted);\n";
    body += "    end loop;\nend\n";
    std::string title = names.size() == 1 ? "publication" : "publications";
    for (const auto& name : names)
        title += " " + quote_identifier(name);
    return {install_step::kind::publication, title, in_transaction("", block(body))};
}

install_step slot_step(const config::model& model) {
    const auto& publications = model.source.publications;
    const auto slot = quote_literal(model.source.slot);
    std::string body = "begin\n";
    body +=
        "    if exists (select from pg_replication_slots where slot_name = " + slot + ") then\n";
    body += "        return;\n    end if;\n";
    body += "    if (select count(*) from pg_publication where pubname in (" +
            literals(publications) + ")) < " + std::to_string(publications.size()) + " then\n";
    body += "        raise exception using errcode = '55000', message =\n            " +
            quote_literal(
                "a slot that is older than its publication can't be read: make the "
                "publication first") +
            ";\n    end if;\n";
    if (model.source.progress) {
        body += "    if exists (select from walrelay.progress where slot = " + slot + ") then\n";
        body += "        raise exception using errcode = '55000',\n            message = " +
                quote_literal(refused_slot_text(model.source.slot)) +
                ",\n            hint = " + quote_literal(forget_record_sql(model.source.slot)) +
                ";\n    end if;\n";
    }
    // Named arguments that a version doesn't know are refused when the statement is parsed.
    body += "    if current_setting('server_version_num')::integer >= 170000 then\n";
    body += "        execute " +
            quote_literal("select pg_create_logical_replication_slot(" + slot +
                          ", 'pgoutput', failover => true)") +
            ";\n    else\n";
    body += "        perform pg_create_logical_replication_slot(" + slot + ", 'pgoutput');\n";
    body += "    end if;\nend\n";
    // Making a slot waits for every transaction that is writing, in any database.
    return {install_step::kind::slot, "slot " + quote_identifier(model.source.slot),
            in_transaction("set local lock_timeout = 0;\nset local statement_timeout = '10s';\n",
                           block(body))};
}

}  // namespace

std::string refused_slot_text(const std::string& slot) {
    return "slot " + quote_identifier(slot) +
           " is missing, but walrelay.progress has a record of it: a new slot begins now, and what "
           "was "
           "committed between the record and now would never be delivered";
}

std::string forget_record_sql(const std::string& slot) {
    return "delete from walrelay.progress where slot = " + quote_literal(slot) +
           ";  -- only if this is a copy of a database, or that gap is accepted";
}

std::vector<routed_table> routed_tables(const config::model& model) {
    std::vector<routed_table> tables;
    for (const auto& route : model.routes) {
        if (!route.from_message.empty()) continue;  // messages are in no table
        routed_table table{route.from_schema, route.from_table};
        if (std::find(tables.begin(), tables.end(), table) == tables.end()) {
            tables.push_back(std::move(table));
        }
    }
    return tables;
}

std::vector<routed_table> published_tables(const config::model& model) {
    auto tables = routed_tables(model);
    if (needs_schema(model)) tables.push_back({"walrelay", "redrive"});
    return tables;
}

std::string publish_marks_sql(const std::string& publication) {
    return "alter publication " + quote_identifier(publication) + " add table walrelay.redrive;";
}

bool needs_schema(const config::model& model) {
    return model.source.progress ||
           std::any_of(model.routes.begin(), model.routes.end(),
                       [](const config::route& one) { return one.from_schema == "walrelay"; });
}

std::vector<install_step> install_steps() {
    std::vector<install_step> steps;
    steps.push_back(schema_step());
    return steps;
}

std::vector<install_step> install_steps(const config::model& model, const std::string& relay_role) {
    std::vector<install_step> steps;
    if (needs_schema(model)) steps.push_back(schema_step());
    steps.push_back(rights_step(model, relay_role));
    steps.push_back(publication_step(model));
    steps.push_back(slot_step(model));
    return steps;
}

std::string as_script(const std::vector<install_step>& steps) {
    std::string out = "-- Made by walrelay " WALRELAY_VERSION ". May be run again.\n";
    for (const auto& step : steps) {
        out +=
            "\n-- " + printable(step.title, step.title.size()) + "\n";  // a line, whatever the role
        out += step.sql;
    }
    return out;
}

}  // namespace walrelay::cli
