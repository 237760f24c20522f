// A private Postgres server in a temporary folder.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace walrelay::test {

/// Made by initdb, started on a free port with wal_level=logical, without fsync; trusts everybody
/// on its socket and on 127.0.0.1. Stopped and removed by the destructor, and stopped by the kernel
/// if the test dies. The binaries come from WALRELAY_PG_BIN, else pg_config, else the newest of
/// /usr/lib/postgresql. As root it runs as the user postgres. Failures throw std::runtime_error.
class postgres_cluster {
public:
    struct options {
        std::string settings;  ///< lines for postgresql.conf
        std::string hba;       ///< lines that come before the others in pg_hba.conf
        bool tls = false;  ///< ssl=on with a certificate of its own for "localhost", in ca_file()
    };

    postgres_cluster() : postgres_cluster(options{}) {}

    explicit postgres_cluster(const options& wanted);
    ~postgres_cluster();
    postgres_cluster(const postgres_cluster&) = delete;
    postgres_cluster& operator=(const postgres_cluster&) = delete;

    void start();

    enum class stop_mode { smart, fast, immediate };
    /// False when the server still runs after `limit`.
    [[nodiscard]] bool stop(stop_mode how,
                            std::chrono::milliseconds limit = std::chrono::seconds{20});

    /// "host=127.0.0.1 port=… user=… dbname=…".
    [[nodiscard]] std::string conninfo(const std::string& user = "postgres",
                                       const std::string& database = "postgres") const;
    /// The same by the socket.
    [[nodiscard]] std::string socket_conninfo(const std::string& user = "postgres",
                                              const std::string& database = "postgres") const;

    /// Runs SQL as postgres, over a connection of its own, one statement at a time (so that CREATE
    /// DATABASE is possible, statements are parted by ";\n"). Gives the first cell of the last
    /// answer.
    std::string sql(std::string_view text, const std::string& database = "postgres") const;

    [[nodiscard]] int port() const noexcept { return port_; }

    [[nodiscard]] std::filesystem::path ca_file() const { return folder_ / "server.crt"; }

    [[nodiscard]] std::filesystem::path log_file() const { return folder_ / "log"; }

private:
    void initialise(const options& wanted);
    void run(const std::filesystem::path& program, const std::vector<std::string>& arguments) const;
    pid_t spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                bool dies_with_us) const;

    std::filesystem::path folder_;
    std::filesystem::path binaries_;
    int port_ = 0;
    pid_t server_ = -1;
};

/// A TCP port of 127.0.0.1 that nobody uses now.
int free_port();

}  // namespace walrelay::test
