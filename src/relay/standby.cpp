#include "walrelay/relay/standby.hpp"

#include <algorithm>

#include "walrelay/engine/start_check.hpp"
#include "walrelay/relay/link_options.hpp"

namespace walrelay::relay {

duration status_period(std::int64_t sender_timeout_ms) {
    using std::chrono::milliseconds;
    constexpr milliseconds longest_sender_timeout{30'000};  // the session lowers it to that
    milliseconds timeout{sender_timeout_ms};
    if (timeout.count() <= 0 || timeout > longest_sender_timeout) timeout = longest_sender_timeout;
    return std::min<duration>(std::chrono::seconds{10}, timeout / 3);
}

std::int64_t unix_microseconds() {
    using namespace std::chrono;
    return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

pgoutput::pg_time pg_now() {
    return pgoutput::pg_time{unix_microseconds() - pgoutput::pg_time{}.unix_microseconds()};
}

boost::asio::awaitable<postgres::sql_result<std::unique_ptr<postgres::connection>>> open_to_look(
    boost::asio::any_io_executor executor, const config::source& source, std::string purpose) {
    postgres::connect_options options = link_options(source, purpose);
    options.timeout = probe_timeout;
    auto link = co_await postgres::connection::open(executor, std::move(options));
    if (link) {
        // Whoever looks has no time to wait for a lock, as ALTER TABLE takes one.
        std::string sql = "SET lock_timeout = '1s'";
        std::vector<std::optional<std::string>> none;
        const auto set = co_await (*link)->query(std::move(sql), std::move(none), probe_timeout);
        if (!set) co_return set.error();
    }
    co_return link;
}

boost::asio::awaitable<bool> server_is_stopping(boost::asio::any_io_executor executor,
                                                const config::source& source) {
    std::string purpose = "probe";
    const auto probe = co_await open_to_look(executor, source, std::move(purpose));
    co_return !probe && engine::server_is_stopping(probe.error().sqlstate);
}

}  // namespace walrelay::relay
