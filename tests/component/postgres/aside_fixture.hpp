// A database with the schema of sql/, a slot's record in it, and rows to set aside.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "component/postgres/fixture.hpp"
#include "walrelay/postgres/aside_store.hpp"
#include "walrelay/postgres/progress.hpp"

namespace walrelay::test {

/// Runs the files of sql/ in the database.
void install_schema(const postgres_cluster& cluster, const std::string& database);

/// An event of a slot: a small row with the key "k", refused by the sink "out".
postgres::aside_insert refused_row(lsn commit, std::uint32_t ordinal = 0);

/// Each has a slot of its own in one database that all tests share, and its first epoch.
class aside_slot {
public:
    aside_slot();
    explicit aside_slot(std::string database);

    loop events;
    std::unique_ptr<postgres::connection> link;  ///< as the relay's role
    postgres::aside_scope scope;

    [[nodiscard]] std::unique_ptr<postgres::connection> connect();

    /// Runs the coroutine of one call on `link`.
    template <class T>
    T ask(boost::asio::awaitable<T> call) {
        std::optional<T> answer;
        const auto work = [&]() -> boost::asio::awaitable<void> {
            answer.emplace(co_await std::move(call));
        };
        events.run(work());
        return std::move(*answer);
    }

    /// The answers; fails when there are none.
    std::vector<engine::aside_put_answer> put(std::vector<postgres::aside_insert> rows);
    engine::aside_id put(postgres::aside_insert row);
    void change(engine::aside_change row);
    std::vector<postgres::aside_loaded> load(std::vector<postgres::aside_lane> lanes,
                                             std::uint64_t most_bytes = 1 << 20);
    postgres::aside_summary summary(lsn from = {});
    std::uint64_t draw_epoch(postgres::connection& by);

    /// The only cell of a question about the rows of the slot: "select … from rows".
    std::string cell(const std::string& question);

private:
    std::string database_;
};

}  // namespace walrelay::test
