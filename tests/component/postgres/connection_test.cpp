// What a connection promises, whatever the server's roles and the environment say.
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>

#include "component/postgres/fixture.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

constexpr const char* hostile_settings = R"(
ALTER ROLE hostile SET synchronous_commit = off;
ALTER ROLE hostile SET datestyle = 'SQL, DMY';
ALTER ROLE hostile SET intervalstyle = 'iso_8601';
ALTER ROLE hostile SET timezone = 'Asia/Tokyo';
ALTER ROLE hostile SET bytea_output = 'escape';
ALTER ROLE hostile SET extra_float_digits = -15;
ALTER ROLE hostile SET lc_monetary = 'C.UTF-8';
ALTER ROLE hostile SET search_path = 'evil, public';
ALTER ROLE hostile SET default_transaction_read_only = on;
ALTER ROLE hostile SET default_transaction_isolation = 'serializable';
ALTER ROLE hostile SET default_transaction_deferrable = on;
ALTER ROLE hostile SET standard_conforming_strings = off;
ALTER ROLE hostile SET client_encoding = 'LATIN1';
ALTER ROLE hostile SET client_min_messages = 'error';
ALTER ROLE hostile SET statement_timeout = '1ms';
ALTER ROLE hostile SET lock_timeout = '1ms';
ALTER ROLE hostile SET idle_in_transaction_session_timeout = '1ms';
ALTER ROLE hostile SET idle_session_timeout = '1ms';
ALTER DATABASE hostile_db SET datestyle = 'German, DMY';
ALTER DATABASE hostile_db SET synchronous_commit = off;
ALTER DATABASE hostile_db SET bytea_output = 'escape';
)";

const std::map<std::string, std::string> pinned_on_all{
    {"DateStyle", "ISO, MDY"},
    {"IntervalStyle", "postgres"},
    {"TimeZone", "UTC"},
    {"bytea_output", "hex"},
    {"extra_float_digits", "3"},
    {"lc_monetary", "C"},
    {"search_path", "pg_catalog"},
    {"standard_conforming_strings", "on"},
    {"client_encoding", "UTF8"},
    {"client_min_messages", "warning"},
    {"default_transaction_read_only", "off"},
    {"idle_in_transaction_session_timeout", "0"},
    {"idle_session_timeout", "0"},
};

const std::map<std::string, std::string> pinned_on_sql{
    {"synchronous_commit", "local"},
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_deferrable", "off"},
    {"statement_timeout", "30s"},
    {"lock_timeout", "5s"},
};

const std::map<std::string, std::string> pinned_on_replication{
    {"statement_timeout", "0"},
    {"lock_timeout", "0"},
};

void check_settings(loop& on, postgres::connection& link,
                    const std::map<std::string, std::string>& wanted) {
    for (const auto& [name, value] : wanted) {
        CAPTURE(name);
        CHECK(on.ask(link, "SELECT pg_catalog.current_setting('" + name + "')") == value);
    }
}

/// An environment variable for as long as it lives.
class environment {
public:
    environment(const char* name, const char* value) : name_{name} { ::setenv(name, value, 1); }

    ~environment() { ::unsetenv(name_); }

    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;

private:
    const char* name_;
};

/// Takes connections and says nothing, as a host behind a broken firewall.
class silent_listener {
public:
    silent_listener() : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        REQUIRE(::bind(socket_, generic, size) == 0);
        REQUIRE(::listen(socket_, 8) == 0);
        REQUIRE(::getsockname(socket_, generic, &size) == 0);
        port_ = ntohs(address.sin_port);
    }

    ~silent_listener() { ::close(socket_); }

    silent_listener(const silent_listener&) = delete;
    silent_listener& operator=(const silent_listener&) = delete;

    [[nodiscard]] int port() const { return port_; }

private:
    int socket_;
    int port_ = 0;
};

}  // namespace

TEST_CASE("settings of role, database and environment reach no connection of ours") {
    auto& cluster = shared_cluster();
    cluster.sql("CREATE ROLE hostile LOGIN REPLICATION;\nCREATE DATABASE hostile_db;\n");
    cluster.sql(hostile_settings);
    const environment options{"PGOPTIONS", "-c datestyle=German -c synchronous_commit=off"};
    const environment dates{"PGDATESTYLE", "SQL, DMY"};
    const environment zone{"PGTZ", "Asia/Tokyo"};
    const environment encoding{"PGCLIENTENCODING", "LATIN1"};
    loop on;
    const std::string conninfo =
        cluster.conninfo("hostile", "hostile_db") + " options='-c bytea_output=escape'";

    const auto sql = on.connect(conninfo);
    check_settings(on, *sql, pinned_on_all);
    check_settings(on, *sql, pinned_on_sql);
    CHECK(on.ask(*sql, "SHOW transaction_isolation") == "read committed");
    CHECK(on.ask(*sql, "SHOW transaction_read_only") == "off");

    const auto replication = on.connect(conninfo, true);
    check_settings(on, *replication, pinned_on_all);
    check_settings(on, *replication, pinned_on_replication);
}

TEST_CASE("options of the user that we don't pin are kept") {
    loop on;
    const auto link = on.connect(shared_cluster().conninfo() +
                                 " options='-c work_mem=77MB' application_name=mine");
    CHECK(on.ask(*link, "SHOW work_mem") == "77MB");
    CHECK(on.ask(*link, "SHOW application_name") == "mine");
    const auto plain = on.connect(shared_cluster().conninfo());
    CHECK(on.ask(*plain, "SHOW application_name") == "walrelay");
}

TEST_CASE("a name is resolved, a socket folder is taken as it is, a URI is understood") {
    auto& cluster = shared_cluster();
    loop on;
    const std::string port = std::to_string(cluster.port());
    const auto by_name = on.connect("host=localhost user=relay dbname=shop port=" + port);
    CHECK_THAT(by_name->where(), ContainsSubstring("host localhost (127.0.0.1) port " + port));
    const auto by_socket = on.connect(cluster.socket_conninfo("relay", "shop"));
    CHECK_THAT(by_socket->where(), ContainsSubstring("socket /"));
    const auto by_uri = on.connect("postgresql://relay@localhost:" + port + "/shop");
    CHECK(on.ask(*by_uri, "SELECT current_database()") == "shop");
    const auto by_address = on.connect(
        "host=no.such.name.invalid hostaddr=127.0.0.1 user=relay dbname=shop port=" + port);
    CHECK(on.ask(*by_address, "SELECT session_user") == "relay");
    const environment host{"PGHOST", "localhost"};
    const environment port_variable{"PGPORT", port.c_str()};
    const auto by_environment = on.connect("user=relay dbname=shop");
    CHECK_THAT(by_environment->where(), ContainsSubstring("host localhost (127.0.0.1)"));
}

TEST_CASE("the next host of a list is asked when one is closed, unknown or silent") {
    auto& cluster = shared_cluster();
    loop on;
    const silent_listener silent;
    const std::string good = std::to_string(cluster.port());
    const std::string rest = " user=relay dbname=shop";
    const auto after_closed = on.connect(
        "host=127.0.0.1,localhost port=" + std::to_string(free_port()) + "," + good + rest);
    CHECK(on.ask(*after_closed, "SELECT 1") == "1");
    const auto after_unknown =
        on.connect("host=no.such.name.invalid,127.0.0.1 port=" + good + rest);
    CHECK(on.ask(*after_unknown, "SELECT 1") == "1");
    auto after_silent = on.open(
        "host=127.0.0.1,127.0.0.1 port=" + std::to_string(silent.port()) + "," + good + rest, false,
        std::chrono::seconds{6});
    REQUIRE(after_silent);
    CHECK(on.ask(**after_silent, "SELECT 1") == "1");
}

TEST_CASE("a host that says nothing is given up in time") {
    loop on;
    const silent_listener silent;
    const auto begun = std::chrono::steady_clock::now();
    const auto refused = on.open("host=127.0.0.1 user=x port=" + std::to_string(silent.port()),
                                 false, std::chrono::milliseconds{300});
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().what.cause, ContainsSubstring("no answer in time"));
    CHECK(refused.error().connection_lost);
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds{5});
}

TEST_CASE("each refusal of a connection has a text and a hint of its own") {
    auto& cluster = shared_cluster();
    cluster.sql(
        "CREATE ROLE needs_password LOGIN REPLICATION PASSWORD 'right';\n"
        "CREATE ROLE unwelcome LOGIN;\nCREATE ROLE plain LOGIN;\n"
        "CREATE ROLE full LOGIN CONNECTION LIMIT 0;\n");

    struct refusal {
        const char* title;
        std::string conninfo;
        bool replication;
        const char* sqlstate;
        const char* cause;
        const char* hint;
    };

    const std::string closed = std::to_string(free_port());
    const auto table = std::vector<refusal>{
        {"wrong password", cluster.conninfo("needs_password", "shop") + " password=S3CR3T-CANARY",
         false, "28P01", "password authentication failed", "passfile"},
        {"no password", cluster.conninfo("needs_password", "shop"), false, "", "no password",
         "password or passfile"},
        {"pg_hba", cluster.conninfo("unwelcome", "shop"), false, "28000", "pg_hba.conf",
         "pg_hba.conf"},
        {"unknown role", cluster.conninfo("nobody_here", "shop"), false, "28000", "does not exist",
         "pg_hba.conf"},
        {"database", cluster.conninfo("relay", "no_such_db"), false, "3D000", "no_such_db",
         "dbname"},
        {"not a replication role", cluster.conninfo("plain", "shop"), true, "42501", "walsender",
         "REPLICATION"},
        {"connection limit", cluster.conninfo("full", "shop"), false, "53300",
         "too many connections", "CONNECTION LIMIT"},
        {"no TLS", cluster.conninfo("relay", "shop") + " sslmode=require", false, "",
         "does not support SSL", "sslmode"},
        {"closed port", "host=127.0.0.1 user=x port=" + closed, false, "", "Connection refused",
         "check host and port"},
        {"no socket", "host=/nonexistent user=x", false, "", "No such file", "check host and port"},
        {"unknown name", "host=no.such.name.invalid user=x", false, "", "", "name service"},
        {"malformed", "host=x password=S3CR3T-CANARY broken", false, "", "doesn't understand",
         "libpq"},
        {"ports", "host=a,b port=1,2,3 password=S3CR3T-CANARY", false, "", "as many as", "libpq"},
    };
    loop on;
    for (const refusal& each : table) {
        CAPTURE(each.title);
        const auto refused = on.open(each.conninfo, each.replication);
        REQUIRE_FALSE(refused);
        const postgres::sql_error& failure = refused.error();
        CAPTURE(failure.what.text());
        CHECK(failure.sqlstate == each.sqlstate);
        CHECK_THAT(failure.what.cause, ContainsSubstring(each.cause));
        CHECK_THAT(failure.what.hint, ContainsSubstring(each.hint));
        CHECK(failure.connection_lost);
        CHECK(failure.what.text().find("S3CR3T-CANARY") == std::string::npos);
        CHECK(failure.what.text().find("LOCATION") == std::string::npos);
        CHECK(failure.what.text().find('\n') == std::string::npos);
    }
}

TEST_CASE("exhausted walsenders, and wal_level below logical, are told apart") {
    postgres_cluster::options wanted;
    wanted.settings = "max_wal_senders = 1\nwal_level = replica";
    postgres_cluster cluster{wanted};
    prepare_shop(cluster);
    loop on;
    cluster.sql("SELECT pg_create_physical_replication_slot('other')");
    stream_record record;
    const auto refused = start_stream(on, cluster, "walrelay", record);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().sqlstate == "55000");
    CHECK_THAT(refused.error().what.hint, ContainsSubstring("wal_level = logical"));

    std::unique_ptr<postgres::connection> holder;
    REQUIRE(on.until([&] {  // the walsender of before gives its place back a while after it ended
        auto made = on.open(cluster.conninfo("relay", "shop"), true);
        if (made) holder = std::move(*made);
        return holder != nullptr;
    }));
    const auto full = on.open(cluster.conninfo("relay", "shop"), true);
    REQUIRE_FALSE(full);
    CHECK(full.error().sqlstate == "53300");
    CHECK_THAT(full.error().what.hint, ContainsSubstring("max_wal_senders"));
}

TEST_CASE("a standby is passed over, and named as such") {
    auto& cluster = shared_cluster();
    loop on;
    const auto refused =
        on.open(cluster.conninfo("relay", "shop") + " target_session_attrs=standby");
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().what.cause, ContainsSubstring("not in hot standby mode"));
}

TEST_CASE("a certificate of another authority or for another name is refused by name") {
    postgres_cluster::options wanted;
    wanted.tls = true;
    postgres_cluster cluster{wanted};
    postgres_cluster other{wanted};
    prepare_shop(cluster);
    loop on;
    const std::string port = " port=" + std::to_string(cluster.port()) + " user=relay dbname=shop";
    const std::string ours = " sslmode=verify-full sslrootcert=" + cluster.ca_file().string();
    const std::string others = " sslmode=verify-full sslrootcert=" + other.ca_file().string();
    const auto good = on.connect("host=localhost" + port + ours);
    CHECK(on.ask(*good, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t");
    const auto authority = on.open("host=localhost" + port + others);
    REQUIRE_FALSE(authority);
    CHECK_THAT(authority.error().what.cause, ContainsSubstring("certificate verify failed"));
    CHECK_THAT(authority.error().what.hint, ContainsSubstring("sslrootcert"));
    const auto name = on.open("host=other.example hostaddr=127.0.0.1" + port + ours);
    REQUIRE_FALSE(name);
    CHECK_THAT(name.error().what.cause, ContainsSubstring("does not match host name"));

    test_slot slot{cluster, "over_tls"};
    cluster.sql("INSERT INTO items (body) SELECT repeat('x', 300) FROM generate_series(1, 20000)",
                "shop");
    stream_record record;
    auto stream = start_stream(on, cluster, slot.name(), record, "sslmode=require");
    REQUIRE(stream);
    (*stream)->resume();
    CHECK(on.until([&] { return record.inserts == 20000 && record.commit_end.value > 0; }));
}

TEST_CASE("a query gives rows, NULLs and counts, and an error leaves the connection usable") {
    loop on;
    const auto link = on.connect(shared_cluster().conninfo());
    const auto work = [&]() -> boost::asio::awaitable<void> {
        std::vector<std::optional<std::string>> values{"7", std::nullopt};
        auto rows = co_await link->query("SELECT $1::int + 1, $2::text, ''", values);
        REQUIRE(rows);
        CHECK(rows->size() == 1);
        CHECK(rows->columns() == 3);
        CHECK(rows->text(0, 0) == "8");
        CHECK(rows->is_null(0, 1));
        CHECK_FALSE(rows->is_null(0, 2));
        CHECK_THROWS_AS(rows->text(1, 0), std::out_of_range);

        auto failed = co_await link->query("SELECT * FROM no_such_table");
        REQUIRE_FALSE(failed);
        CHECK(failed.error().sqlstate == "42P01");
        CHECK_FALSE(failed.error().connection_lost);

        auto script = co_await link->query(
            "CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2); UPDATE t SET a = a + 1");
        REQUIRE(script);
        CHECK(script->affected() == 2);
    };
    on.run(work());
}

TEST_CASE("a query without an answer in time loses its connection") {
    loop on;
    const auto link = on.connect(shared_cluster().conninfo());
    const auto work = [&]() -> boost::asio::awaitable<void> {
        std::vector<std::optional<std::string>> none;
        auto late =
            co_await link->query("SELECT pg_sleep(3)", none, std::chrono::milliseconds{100});
        REQUIRE_FALSE(late);
        CHECK(late.error().connection_lost);
        CHECK_THAT(late.error().what.cause, ContainsSubstring("no answer in time"));
        auto after = co_await link->query("SELECT 1", none);
        REQUIRE_FALSE(after);
        CHECK(after.error().connection_lost);
    };
    on.run(work());
}

TEST_CASE("a session that an operator ends says 57P01") {
    loop on;
    auto& cluster = shared_cluster();
    const auto link = on.connect(cluster.conninfo());
    cluster.sql("SELECT pg_terminate_backend(" + std::to_string(link->backend_pid()) + ", 5000)");
    const auto work = [&]() -> boost::asio::awaitable<void> {
        auto ended = co_await link->query("SELECT 1");
        REQUIRE_FALSE(ended);
        CHECK(ended.error().sqlstate == "57P01");
        CHECK(ended.error().connection_lost);
    };
    on.run(work());
}
