#include "component/postgres/fixture.hpp"

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <stdexcept>

#include "walrelay/core/lsn.hpp"

namespace walrelay::test {

namespace {

std::uint64_t big_endian(std::span<const std::byte> bytes, std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i)
        value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
    return value;
}

}  // namespace

void prepare_shop(const postgres_cluster& cluster) {
    cluster.sql("CREATE ROLE relay LOGIN REPLICATION;\nCREATE DATABASE shop;\n");
    cluster.sql(
        "CREATE TABLE public.items (id bigint GENERATED ALWAYS AS IDENTITY, body text);\n"
        "CREATE PUBLICATION shop_items FOR TABLE public.items WITH (publish = 'insert');\n",
        "shop");
}

postgres_cluster& shared_cluster() {
    static const std::unique_ptr<postgres_cluster> cluster = [] {
        postgres_cluster::options wanted;
        wanted.hba =
            "host all needs_password 127.0.0.1/32 scram-sha-256\n"
            "host all unwelcome 127.0.0.1/32 reject\n";
        auto made = std::make_unique<postgres_cluster>(wanted);
        prepare_shop(*made);
        return made;
    }();
    return *cluster;
}

void loop::run(boost::asio::awaitable<void> work) {
    bool done = false;
    std::exception_ptr thrown;
    boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr failure) {
        thrown = failure;
        done = true;
    });
    until([&] { return done; }, std::chrono::seconds{60});
    if (thrown) std::rethrow_exception(thrown);
    if (!done) throw std::runtime_error{"the coroutine doesn't end"};
}

sql_result<std::unique_ptr<postgres::connection>> loop::open(std::string conninfo, bool replication,
                                                             std::chrono::milliseconds timeout) {
    // Made by the completion handler, as a failed result has no default.
    std::optional<sql_result<std::unique_ptr<postgres::connection>>> answer;
    const auto work = [&]() -> boost::asio::awaitable<void> {
        postgres::connect_options options;
        options.conninfo = std::move(conninfo);
        options.replication = replication;
        options.timeout = timeout;
        auto made = co_await postgres::connection::open(io.get_executor(), std::move(options));
        answer.emplace(std::move(made));
    };
    run(work());
    return std::move(*answer);
}

std::unique_ptr<postgres::connection> loop::connect(std::string conninfo, bool replication) {
    auto made = open(std::move(conninfo), replication);
    return std::move(made.value());
}

std::string loop::ask(postgres::connection& link, std::string sql) {
    std::string cell;
    const auto work = [&]() -> boost::asio::awaitable<void> {
        std::vector<std::optional<std::string>> none;
        const auto rows = co_await link.query(std::move(sql), std::move(none));
        if (rows.value().size() > 0) cell = std::string{rows->text(0, 0)};
    };
    run(work());
    return cell;
}

bool stream_record::on_frame(postgres::frame&& received) {
    const auto payload = received.bytes();
    ++frames;
    bytes += payload.size();
    if (payload.empty()) return true;
    const char kind = static_cast<char>(payload[0]);
    if (kind == 'k') {
        ++keepalives;
        wal_end = lsn{big_endian(payload, 1)};
    }
    const char message = payload.size() > 25 ? static_cast<char>(payload[25]) : '\0';
    if (kind == 'w' && message == 'I') ++inserts;
    if (kind == 'w' && message == 'C') commit_end = lsn{big_endian(payload, 25 + 10)};
    return frames < stop_after;
}

void stream_record::on_end(postgres::sql_error what) {
    ++ends;
    end = std::move(what);
}

test_slot::test_slot(postgres_cluster& cluster, std::string name, const std::string& plugin)
    : cluster_{cluster}, name_{std::move(name)} {
    cluster_.sql("SELECT pg_create_logical_replication_slot('" + name_ + "', '" + plugin + "')",
                 "shop");
}

test_slot::~test_slot() {
    try {
        wait_until_free();
        cluster_.sql("SELECT pg_drop_replication_slot('" + name_ + "')", "shop");
    } catch (const std::exception&) {
        return;  // the server is stopped, or the test dropped it
    }
}

std::string test_slot::confirmed() const {
    return cluster_.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" +
                        name_ + "'");
}

void test_slot::wait_until_free() const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (cluster_.sql("SELECT active FROM pg_replication_slots WHERE slot_name = '" + name_ +
                        "'") == "t") {
        if (std::chrono::steady_clock::now() > deadline) {
            throw std::runtime_error{"the slot stays active"};
        }
    }
}

sql_result<std::unique_ptr<postgres::replication_stream>> start_stream(
    loop& on, postgres_cluster& cluster, const std::string& slot, stream_record& record,
    const std::string& more_conninfo) {
    auto link = on.open(cluster.conninfo("relay", "shop") + " " + more_conninfo, true);
    if (!link) return link.error();
    std::optional<sql_result<std::unique_ptr<postgres::replication_stream>>> answer;
    const auto work = [&]() -> boost::asio::awaitable<void> {
        postgres::stream_request request;
        request.slot = slot;
        request.publications = {"shop_items"};
        auto made = co_await postgres::replication_stream::start(std::move(*link),
                                                                 std::move(request), record);
        answer.emplace(std::move(made));
    };
    on.run(work());
    return std::move(*answer);
}

}  // namespace walrelay::test
