// A loop to run coroutines on, a handler that keeps what a stream said, and one server for all
// tests that don't stop it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/postgres_cluster.hpp"
#include "walrelay/postgres/connection.hpp"
#include "walrelay/postgres/replication_stream.hpp"

/// A failed check of a result shows its error.
template <class T>
struct Catch::StringMaker<boost::system::result<T, walrelay::postgres::sql_error>> {
    static std::string convert(
        const boost::system::result<T, walrelay::postgres::sql_error>& result) {
        return result ? "a value" : result.error().what.text();
    }
};

namespace walrelay::test {

using postgres::sql_result;

/// Started at first use. Has the role "relay" (LOGIN REPLICATION) and the database "shop" with the
/// table items and the publication "shop_items" of its inserts.
postgres_cluster& shared_cluster();

void prepare_shop(const postgres_cluster& cluster);

class loop {
public:
    boost::asio::io_context io{1};

    /// Runs the coroutine to its end; throws what it throws.
    void run(boost::asio::awaitable<void> work);

    /// Runs the loop until the condition holds; false if it doesn't in time.
    template <class Condition>
    bool until(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds{20}) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (!condition()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            io.restart();
            io.run_one_for(std::chrono::milliseconds{5});
        }
        return true;
    }

    sql_result<std::unique_ptr<postgres::connection>> open(
        std::string conninfo, bool replication = false,
        std::chrono::milliseconds timeout = std::chrono::seconds{10});

    /// Throws what goes wrong.
    std::unique_ptr<postgres::connection> connect(std::string conninfo, bool replication = false);

    /// First cell of the answer; throws what goes wrong.
    std::string ask(postgres::connection& link, std::string sql);
};

/// Counts rows and keeps the end of the last Commit.
class stream_record : public postgres::stream_handler {
public:
    bool on_frame(postgres::frame&& received) override;

    void on_burst_end() override { ++bursts; }

    void on_end(postgres::sql_error what) override;

    void on_server_notice(std::string text) override { notices.push_back(std::move(text)); }

    std::size_t frames = 0;
    std::size_t inserts = 0;
    std::size_t keepalives = 0;
    std::size_t bytes = 0;
    std::size_t bursts = 0;
    std::size_t stop_after = SIZE_MAX;  ///< on_frame is false from that frame on
    lsn commit_end;
    lsn wal_end;  ///< of keepalives
    std::optional<postgres::sql_error> end;
    int ends = 0;
    std::vector<std::string> notices;
};

/// A slot for one test, dropped at its end.
class test_slot {
public:
    explicit test_slot(postgres_cluster& cluster, std::string name,
                       const std::string& plugin = "pgoutput");
    ~test_slot();
    test_slot(const test_slot&) = delete;
    test_slot& operator=(const test_slot&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    [[nodiscard]] std::string confirmed() const;
    /// Waits until no walsender has it.
    void wait_until_free() const;

private:
    postgres_cluster& cluster_;
    std::string name_;
};

sql_result<std::unique_ptr<postgres::replication_stream>> start_stream(
    loop& on, postgres_cluster& cluster, const std::string& slot, stream_record& record,
    const std::string& more_conninfo = "");

}  // namespace walrelay::test
