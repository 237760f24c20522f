// What is looked at before each START_REPLICATION.
#pragma once

#include <memory>
#include <optional>
#include <variant>

#include <boost/asio/awaitable.hpp>

#include "walrelay/config/model.hpp"
#include "walrelay/engine/start_check.hpp"
#include "walrelay/event/router.hpp"
#include "walrelay/postgres/catalog.hpp"
#include "walrelay/postgres/progress.hpp"

namespace walrelay::relay {

/// What the start needs to know of the server.
struct server_facts {
    postgres::server_settings settings;
    postgres::server_identity identity;
    postgres::slot_state slot;
    std::optional<postgres::progress_row> record;
    std::optional<error> unpublished;  ///< see unpublished_route()
};

/// The server answered and everything fits; or it did not answer; or the relay must not start.
using preflight_result = std::variant<server_facts, postgres::sql_error, engine::start_refusal>;

boost::asio::awaitable<preflight_result> look_before_start(postgres::connection& link,
                                                           const config::model& model,
                                                           const event::router& routes);

/// What of the server makes following it impossible: a pooler in between, wal_level, a standby.
[[nodiscard]] std::optional<error> judge_settings(const postgres::server_settings& settings,
                                                  const postgres::connection& link);

/// What is wrong with the publications for these routes; pure. Nothing when the stream brings no
/// table but routed ones.
[[nodiscard]] std::optional<error> judge_publications(const postgres::publications& published,
                                                      const config::model& model,
                                                      const event::router& routes);

/// A route whose table no publication holds, so that its new rows would never arrive; pure. Refused
/// before the first start. Later it is only shown: rows that were written before the table was
/// renamed or taken out still come, under the name that they were written with.
[[nodiscard]] std::optional<error> unpublished_route(const postgres::publications& published,
                                                     const config::model& model);

}  // namespace walrelay::relay
