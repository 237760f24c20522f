// The plainest reader of a pgoutput slot: wait for the socket, read once, hand over each row.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct pg_conn;

namespace walrelay::bench {

/// Two columns of an inserted row, valid during the call that hands it over. A NULL has no data.
struct row {
    std::string_view key;
    std::string_view payload;
};

/// Reads eagerly, as pg_recvlogical does. Every failure is a std::runtime_error.
class replication_reader {
public:
    using handler = std::function<void(const row&)>;

    /// Connects. `start` begins the stream, so that everything else can be ready before.
    explicit replication_reader(const std::string& conninfo);
    void start(const std::string& slot, const std::string& publication);

    /// Waits for the socket at most `timeout_ms` (or until a signal), reads what it holds, handles
    /// each row.
    void read(int timeout_ms, const handler& handle);

    /// Tells the server that everything up to the last commit that was read is done.
    void acknowledge();

private:
    struct closer {
        void operator()(pg_conn* connection) const noexcept;
    };

    void handle_frame(std::string_view frame, const handler& handle);
    void handle_message(std::string_view message, const handler& handle);
    void learn_columns(std::string_view relation);
    void handle_insert(std::string_view insert, const handler& handle) const;
    void send_status(std::uint64_t flushed);

    std::unique_ptr<pg_conn, closer> connection_;
    int key_column_ = -1;
    int payload_column_ = -1;
    std::uint64_t committed_ = 0;
};

}  // namespace walrelay::bench
