#include "installer.hpp"

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "check_queries.hpp"
#include "judge.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/postgres/catalog.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::cli {

namespace asio = boost::asio;

using postgres::connection;
using postgres::sql_error;

namespace {

using link_result = postgres::sql_result<std::unique_ptr<connection>>;

asio::awaitable<link_result> open_link(asio::any_io_executor loop, std::string conninfo) {
    postgres::connect_options options;
    options.conninfo = std::move(conninfo);
    options.application_name = "walrelay sql";
    auto link = co_await connection::open(loop, options);
    co_return link;
}

finding failed(const install_step& step, const sql_error& failure) {
    finding one{severity::stops, step.title, printable(failure.what.cause, 600), {}};
    if (failure.sqlstate == "42501") {
        one.mends.emplace_back(
            "--conninfo of a role that owns the database's tables, may create in it, and has "
            "CREATEROLE "
            "(or is a member of walrelay_owner)");
    } else if (!failure.what.hint.empty()) {
        one.mends.push_back(printable(failure.what.hint, 600));
    }
    return one;
}

/// One step; a failed transaction is taken back, so that the connection can be used on.
asio::awaitable<std::optional<sql_error>> run_step(connection& link, std::string sql) {
    const auto done = co_await link.query(sql);
    if (done) co_return std::nullopt;
    if (!done.error().connection_lost) {
        std::string take_back = "rollback";
        const auto ignored = co_await link.query(take_back);
        static_cast<void>(ignored);
    }
    co_return done.error();
}

/// The script only warns where it may not give REPLICATION.
asio::awaitable<void> confirm_replication(connection& link, const std::string& role,
                                          installed& out) {
    std::string question = "select rolsuper or rolreplication from pg_roles where rolname = $1";
    std::vector<std::optional<std::string>> parameters{role};
    const auto rows = co_await link.query(question, parameters);
    if (!rows || rows->size() == 0 || rows->text(0, 0) == "t") co_return;
    const auto name = quote_identifier(role);
    out.findings.push_back(
        {severity::warns,
         "role " + name,
         "lacks REPLICATION, which only a superuser may give (a managed service has "
         "a way of its own, and walrelay check tells whether it worked)",
         {"alter role " + name + " replication;"}});
}

/// Making a slot waits for every transaction that is writing: say which.
asio::awaitable<void> name_writers(connection& link, finding& one) {
    const auto writers = co_await read_writers(link, 0);
    if (!writers) co_return;
    for (const auto& writer : *writers) {
        one.text += "; " + printable(writer.who);
        if (writer.age_seconds > 0)
            one.text += " since " + std::to_string(writer.age_seconds) + " s";
        one.mends.push_back(writer.mend);
    }
}

asio::awaitable<void> make_slot(connection& link, const install_step& step, installed& out) {
    const auto failure = co_await run_step(link, step.sql);
    if (!failure) {
        out.findings.push_back({severity::ok, step.title, "is there", {}});
        co_return;
    }
    auto one = failed(step, *failure);
    if (failure->sqlstate == "57014" || failure->sqlstate == "55P03") {
        one.text = "can't be made while a transaction is open that has written; waited for 10 s";
        one.mends.clear();
        co_await name_writers(link, one);
        one.mends.emplace_back("then run this again: nothing was left half made");
    } else if (failure->sqlstate == "42501") {
        one.mends = {
            "--conninfo of a superuser or of a role with REPLICATION, or give REPLICATION to "
            "the user of source.conninfo"};
    }
    out.findings.push_back(std::move(one));
    out.code = exit_code::configuration;
}

/// True when the slot is there already, or must not be made; the finding says which.
asio::awaitable<bool> slot_is_settled(connection& link, const installation& plan,
                                      const install_step& step, installed& out) {
    const auto& source = plan.model->source;
    const auto slot = co_await postgres::read_slot(link, source.slot);
    if (!slot) {
        out.findings.push_back(failed(step, slot.error()));
        out.code = exit_code::configuration;
        co_return true;
    }
    if (slot->has_value()) {
        out.findings.push_back({severity::ok, step.title, "is there", {}});
        co_return true;
    }
    if (!source.progress) co_return false;
    const auto record = co_await read_record(link, source.slot);
    if (!record) {
        out.findings.push_back(failed(step, record.error()));
        out.code = exit_code::configuration;
        co_return true;
    }
    if (!record->has_value()) co_return false;
    out.findings.push_back({severity::stops,
                            step.title,
                            refused_slot_text(source.slot) + " (delivered up to " +
                                to_string((*record)->safe) + ", recorded " +
                                printable((*record)->updated_at) + ")",
                            {forget_record_sql(source.slot)}});
    out.code = exit_code::slot_mismatch;
    co_return true;
}

/// By the owner where he may, else by the relay's own user, who has REPLICATION.
asio::awaitable<void> settle_slot(asio::any_io_executor loop, connection& link,
                                  const installation& plan, const install_step& step,
                                  installed& out) {
    const bool settled = co_await slot_is_settled(link, plan, step, out);
    if (settled) co_return;
    const auto settings = co_await postgres::read_settings(link);
    const bool owner_may = !settings || settings->role_may_replicate;
    if (owner_may || plan.conninfo == plan.model->source.conninfo) {
        co_await make_slot(link, step, out);
        co_return;
    }
    auto own = co_await open_link(loop, plan.model->source.conninfo);
    if (!own) {
        auto one = judge_connection(own.error());
        one.subject = step.title;
        out.findings.push_back(std::move(one));
        out.code = exit_code::configuration;
        co_return;
    }
    co_await make_slot(**own, step, out);
}

}  // namespace

asio::awaitable<void> install(asio::any_io_executor loop, const installation& plan,
                              installed& out) {
    auto link = co_await open_link(loop, plan.conninfo);
    if (!link) {
        out.findings.push_back(judge_connection(link.error()));
        out.code = exit_code::configuration;
        co_return;
    }
    for (const auto& step : plan.steps) {
        if (step.what == install_step::kind::slot) {
            co_await settle_slot(loop, **link, plan, step, out);
            continue;
        }
        const auto failure = co_await run_step(**link, step.sql);
        if (!failure) {
            out.findings.push_back({severity::ok, step.title, "is there", {}});
            if (step.what == install_step::kind::rights) {
                co_await confirm_replication(**link, plan.relay_role, out);
            }
            continue;
        }
        out.findings.push_back(failed(step, *failure));
        out.code = exit_code::configuration;
        // A slot without its publication could not be read. A role can be mended later.
        if (step.what != install_step::kind::rights || failure->connection_lost) co_return;
    }
}

}  // namespace walrelay::cli
