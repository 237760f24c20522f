// Carries out what the engine asks of the store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "walrelay/config/model.hpp"
#include "walrelay/engine/engine.hpp"
#include "walrelay/intake/row_reader.hpp"
#include "walrelay/postgres/aside_store.hpp"
#include "walrelay/relay/dispatcher.hpp"

namespace walrelay::relay {

/// Since the start, by sink; the last one is what no route took.
struct aside_counters {
    std::uint64_t parked = 0;
    std::uint64_t held = 0;
};

/// Uses the connection that it is given; answers the engine itself unless it fails.
class aside_clerk {
public:
    aside_clerk(const config::model& model, dispatcher& desk);

    /// The slot is held with this epoch.
    void begin(postgres::aside_scope scope, const event::router& routes);

    /// What the store holds for the sinks of the map. Rows of other sinks wait; that is logged.
    [[nodiscard]] engine::aside_start start_of(const postgres::aside_summary& known) const;

    /// False: another relay has the slot, nothing was written. After an error the engine has not
    /// been answered.
    boost::asio::awaitable<postgres::sql_result<bool>> carry_out(postgres::connection& link,
                                                                 engine::aside_request request);

    [[nodiscard]] const std::vector<aside_counters>& counters() const noexcept { return counters_; }

private:
    using done = postgres::sql_result<bool>;

    boost::asio::awaitable<done> put(postgres::connection& link, engine::put_request request);
    boost::asio::awaitable<done> change(postgres::connection& link, engine::change_request request);
    boost::asio::awaitable<done> load(postgres::connection& link, engine::load_request request);
    boost::asio::awaitable<done> mark(postgres::connection& link, engine::mark_request request);
    boost::asio::awaitable<done> apply(postgres::connection& link, bool drops,
                                       std::vector<engine::aside_id> ids);
    boost::asio::awaitable<done> reroute(postgres::connection& link,
                                         std::vector<engine::aside_id> ids);
    [[nodiscard]] postgres::aside_insert row_of(const engine::aside_put& asked) const;
    [[nodiscard]] std::string route_again(intake::stored_row&& row,
                                          std::vector<postgres::aside_insert>& made);
    void tell(const engine::aside_put& asked, const postgres::aside_insert& row);
    [[nodiscard]] std::optional<std::uint16_t> sink_index(const std::string& name) const;

    const config::model& model_;
    dispatcher& desk_;
    postgres::aside_scope scope_;
    std::optional<intake::row_reader> reader_;
    std::vector<aside_counters> counters_;
};

}  // namespace walrelay::relay
