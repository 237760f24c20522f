// Reading, back-pressure, status updates and every way in which a stream ends.
#include <signal.h>

#include "component/postgres/fixture.hpp"
#include "support/catch.hpp"
#include "walrelay/core/lsn.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

pgoutput::standby_status status_of(lsn written, lsn flushed) {
    pgoutput::standby_status status;
    status.written = written;
    status.flushed = flushed;
    status.applied = flushed;
    return status;
}

void insert_items(const postgres_cluster& cluster, int count) {
    cluster.sql("INSERT INTO items (body) SELECT repeat('x', 300) FROM generate_series(1, " +
                    std::to_string(count) + ")",
                "shop");
}

std::string pid_of(const postgres::replication_stream& stream) {
    return std::to_string(stream.backend_pid());
}

}  // namespace

TEST_CASE("committed rows arrive, in groups, and an acknowledgement moves the slot") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "flow"};
    insert_items(cluster, 5000);
    loop on;
    stream_record record;
    auto stream = start_stream(on, cluster, slot.name(), record);
    REQUIRE(stream);
    on.until([] { return false; }, std::chrono::milliseconds{100});
    CHECK(record.frames == 0);  // not before resume()
    (*stream)->resume();
    REQUIRE(on.until([&] { return record.inserts == 5000 && record.commit_end.value > 0; }));
    CHECK(record.bursts > 0);
    CHECK(record.bursts < record.frames);
    CHECK((*stream)->send_status(status_of(record.commit_end, record.commit_end)));
    on.until([&] { return slot.confirmed() == to_string(record.commit_end); });
    CHECK(slot.confirmed() == to_string(record.commit_end));

    insert_items(cluster, 1);
    CHECK(on.until([&] { return record.inserts == 5001; }));
    CHECK_FALSE(record.end);
}

TEST_CASE("a row of many megabytes arrives as one frame") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "large_row"};
    cluster.sql("INSERT INTO items (body) VALUES (repeat('x', 20000000))", "shop");
    loop on;
    stream_record record;
    auto stream = start_stream(on, cluster, slot.name(), record);
    REQUIRE(stream);
    (*stream)->resume();
    CHECK(on.until([&] { return record.inserts == 1 && record.bytes > 20'000'000; }));
}

TEST_CASE("no frame comes while paused, and none is lost by pausing at any frame") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "pausing"};
    insert_items(cluster, 300);
    loop on;
    stream_record record;
    auto stream = start_stream(on, cluster, slot.name(), record);
    REQUIRE(stream);
    record.stop_after = 1;
    (*stream)->resume();
    while (record.inserts < 300) {
        REQUIRE(on.until([&] { return record.frames >= record.stop_after; }));
        const std::size_t then = record.frames;
        on.io.restart();
        on.io.poll();
        REQUIRE(record.frames == then);
        record.stop_after = then + 1;
        (*stream)->resume();
    }
    CHECK(record.inserts == 300);
}

TEST_CASE("a pause longer than wal_sender_timeout is survived while statuses are sent") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "patience"};
    insert_items(cluster, 50000);  // more than the sockets hold
    loop on;
    stream_record record;
    auto stream =
        start_stream(on, cluster, slot.name(), record, "options='-c wal_sender_timeout=3s'");
    REQUIRE(stream);
    record.stop_after = 10;
    (*stream)->resume();
    const auto begun = std::chrono::steady_clock::now();
    auto next_status = begun;
    const auto answer = [&] {
        const auto now = std::chrono::steady_clock::now();
        if (now < next_status) return;
        CHECK((*stream)->send_status(status_of(lsn{}, lsn{})));
        next_status = now + std::chrono::milliseconds{200};
    };
    on.until([&] {
        answer();
        return std::chrono::steady_clock::now() - begun > std::chrono::seconds{5};
    });
    CHECK_FALSE(record.end);
    CHECK(record.frames == 10);
    record.stop_after = SIZE_MAX;
    (*stream)->resume();
    CHECK(on.until([&] {
        answer();
        return record.inserts == 50000;
    }));
    CHECK_FALSE(record.end);
}

TEST_CASE("the last status arrives although rows were left unread") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "last_word"};
    loop on;
    for (int round = 0; round < 8; ++round) {
        CAPTURE(round);
        insert_items(cluster, 1);
        insert_items(cluster, 20000);
        stream_record record;
        auto stream = start_stream(on, cluster, slot.name(), record);
        REQUIRE(stream);
        record.stop_after = 200;  // the first transaction, and some of the second
        (*stream)->resume();
        REQUIRE(on.until([&] { return record.frames >= 200; }));
        REQUIRE(record.commit_end.value > 0);
        CHECK((*stream)->send_status(status_of(record.commit_end, record.commit_end)));
        on.run((*stream)->close());
        slot.wait_until_free();
        CHECK(slot.confirmed() == to_string(record.commit_end));
        CHECK(record.ends == 0);
        cluster.sql("SELECT pg_replication_slot_advance('last_word', pg_current_wal_lsn())",
                    "shop");
    }
}

TEST_CASE("a walsender that an operator ends says 57P01, reading or paused") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "terminated"};
    loop on;
    for (const bool reading : {true, false}) {
        CAPTURE(reading);
        stream_record record;
        auto stream = start_stream(on, cluster, slot.name(), record);
        REQUIRE(stream);
        if (reading) (*stream)->resume();
        CHECK_FALSE((*stream)->peer_is_gone());
        cluster.sql("SELECT pg_terminate_backend(" + pid_of(**stream) + ")");
        const bool ended = on.until([&] {
            // While nothing is read, the next status finds out.
            if (!reading && !record.end) (*stream)->send_status(status_of(lsn{}, lsn{}));
            return record.end.has_value();
        });
        REQUIRE(ended);
        CAPTURE(record.end->what.text());
        CHECK(record.end->sqlstate == "57P01");
        CHECK(record.end->connection_lost);
        CHECK(record.ends == 1);
        CHECK((*stream)->peer_is_gone());
        CHECK_FALSE((*stream)->send_status(status_of(lsn{}, lsn{})));
        on.run((*stream)->close());
        CHECK(record.ends == 1);
        slot.wait_until_free();
    }
}

TEST_CASE("a stream that is over is read to its end though its reader pauses once more") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "half_read"};
    insert_items(cluster, 60);  // less than the sockets hold
    loop on;
    stream_record record;
    auto stream = start_stream(on, cluster, slot.name(), record);
    REQUIRE(stream);
    record.stop_after = 10;
    (*stream)->resume();
    REQUIRE(on.until([&] { return record.frames == 10; }));
    cluster.sql("SELECT pg_terminate_backend(" + pid_of(**stream) + ")");
    REQUIRE(on.until([&] { return (*stream)->peer_is_gone(); }));
    record.stop_after = 20;
    (*stream)->resume();
    REQUIRE(on.until([&] { return record.end.has_value(); }));
    CHECK(record.end->sqlstate == "57P01");
    CHECK(record.frames == 20);
}

TEST_CASE("a fast stop is a proper end for a stream that answers, and isn't held up by it") {
    postgres_cluster cluster;
    prepare_shop(cluster);
    const test_slot slot{cluster, "stopping"};
    insert_items(cluster, 10);
    loop on;
    stream_record record;
    auto stream = start_stream(on, cluster, slot.name(), record);
    REQUIRE(stream);
    (*stream)->resume();
    REQUIRE(on.until([&] { return record.inserts == 10; }));
    REQUIRE_FALSE(cluster.stop(postgres_cluster::stop_mode::fast, std::chrono::milliseconds{50}));
    const bool ended = on.until([&] {
        if (record.keepalives > 0 && !record.end) {
            (*stream)->send_status(status_of(record.wal_end, lsn{}));
        }
        return record.end.has_value();
    });
    REQUIRE(ended);
    CAPTURE(record.end->what.text());
    CHECK(record.end->sqlstate.empty());
    CHECK_FALSE(record.end->connection_lost);
    CHECK(cluster.stop(postgres_cluster::stop_mode::fast, std::chrono::seconds{5}));
}

TEST_CASE("a crashed walsender is a loss, with a hint where to look") {
    postgres_cluster cluster;
    prepare_shop(cluster);
    const test_slot slot{cluster, "crashing"};
    loop on;
    stream_record record;
    auto stream = start_stream(on, cluster, slot.name(), record);
    REQUIRE(stream);
    (*stream)->resume();
    REQUIRE(::kill((*stream)->backend_pid(), SIGKILL) == 0);
    REQUIRE(on.until([&] { return record.end.has_value(); }));
    CAPTURE(record.end->what.text());
    CHECK(record.end->sqlstate.empty());
    CHECK(record.end->connection_lost);
    CHECK_THAT(record.end->what.cause, ContainsSubstring("closed the connection"));
    CHECK_THAT(record.end->what.hint, ContainsSubstring("wal_sender_timeout"));
}

TEST_CASE("a stream can be destroyed within its own handler, and is silent then") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "suicide"};
    insert_items(cluster, 1000);

    class destroyer : public stream_record {
    public:
        bool on_frame(postgres::frame&& received) override {
            stream_record::on_frame(std::move(received));
            if (inserts == 100) stream.reset();
            return true;
        }

        std::unique_ptr<postgres::replication_stream> stream;
    };

    loop on;
    destroyer record;
    auto stream = start_stream(on, cluster, slot.name(), record);
    REQUIRE(stream);
    record.stream = std::move(*stream);
    record.stream->resume();
    CHECK(on.until([&] { return record.inserts == 100; }));
    slot.wait_until_free();
    on.until([] { return false; }, std::chrono::milliseconds{20});
    CHECK(record.inserts == 100);
    CHECK(record.ends == 0);
}
