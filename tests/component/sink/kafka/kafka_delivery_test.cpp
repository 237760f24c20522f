// What arrives in Kafka.
#include <cstring>
#include <deque>
#include <fstream>

#include "kafka_fixture.hpp"
#include "support/kafka_consumer.hpp"

namespace walrelay::test {

namespace {

using engine::outcome_class;
using sink::admission;
using headers = std::vector<std::pair<std::string, std::optional<std::string>>>;

/// The hash of Java's DefaultPartitioner, written from its description: MurmurHash2 with Kafka's
/// seed.
std::uint32_t murmur2(std::string_view key) {
    constexpr std::uint32_t m = 0x5bd1e995;
    const auto byte = [&](std::size_t at) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(key[at]));
    };
    std::uint32_t h = 0x9747b28c ^ static_cast<std::uint32_t>(key.size());
    std::size_t at = 0;
    for (; at + 4 <= key.size(); at += 4) {
        std::uint32_t k = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
        k *= m;
        k ^= k >> 24;
        h = (h * m) ^ (k * m);
    }
    const std::size_t tail = key.size() - at;
    if (tail == 3) h ^= byte(at + 2) << 16;
    if (tail >= 2) h ^= byte(at + 1) << 8;
    if (tail >= 1) h = (h ^ byte(at)) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ (h >> 15);
}

std::int32_t java_partition(std::string_view key, std::int32_t partitions) {
    return static_cast<std::int32_t>(murmur2(key) & 0x7fffffff) % partitions;
}

}  // namespace

TEST_CASE("B13: the test's own hash is the one that Java's producer uses", "[kafka]") {
    CHECK(murmur2("kafka") == 0xd067cf64);
    CHECK(murmur2("giberish123456789") == 0x8f552b0c);
    CHECK(murmur2("1234") == 0x9fc97b14);
    CHECK(murmur2("234") == 0xe7c009ca);
    CHECK(murmur2("34") == 0x873930da);
    CHECK(murmur2("4") == 0x5a4b5ca1);
    CHECK(murmur2("") == 0x106e08d9);
}

TEST_CASE("a record arrives with its key, body and headers in order", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());

    auto record = kafka_fixture::record("orders", "customer-1", R"({"total": 3})");
    record.type = "order.placed";
    record.headers = {{"traceparent", "00-ab"}, {"empty", ""}, {"null", std::nullopt}};
    REQUIRE(relay.send(record) == admission::pending);
    REQUIRE(relay.all_told());
    CHECK(relay.outcome(0).what == outcome_class::delivered);
    CHECK(relay.heard.settles >= 1);

    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 1).read(1);
    REQUIRE(got.size() == 1);
    CHECK(got[0].key == "customer-1");
    CHECK(got[0].value == R"({"total": 3})");
    CHECK(got[0].headers == headers{{"traceparent", "00-ab"},
                                    {"empty", ""},
                                    {"null", std::nullopt},
                                    {"content-type", "application/json"},
                                    {"id", "0192d3c1-0000-7000-8000-000000000001"},
                                    {"type", "order.placed"}});
}

TEST_CASE("no key and an empty key, no body and an empty body stay different", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());

    const std::optional<std::string_view> none;
    const bool in_frame = GENERATE(true, false);
    for (const auto& [key, body] : {std::pair{none, none},
                                    {std::optional<std::string_view>(std::string_view()),
                                     std::optional<std::string_view>(std::string_view())}}) {
        auto record = kafka_fixture::record("orders", key, body);
        record.body_in_frame = in_frame;
        REQUIRE(relay.send(record) == admission::pending);
    }
    REQUIRE(relay.all_told());

    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 1).read(2);
    REQUIRE(got.size() == 2);
    CHECK(got[0].key == std::nullopt);
    CHECK(got[0].value == std::nullopt);
    CHECK(got[1].key == "");
    CHECK(got[1].value == "");
}

TEST_CASE("a body that is not in the frame is copied before send() returns", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());

    std::string body(1000, 'a');
    auto record = kafka_fixture::record("orders", "k", body);
    record.body_in_frame = false;
    REQUIRE(relay.send(record) == admission::pending);
    std::fill(body.begin(), body.end(), 'b');
    REQUIRE(relay.all_told());

    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 1).read(1);
    REQUIRE(got.size() == 1);
    CHECK(got[0].value == std::string(1000, 'a'));
}

TEST_CASE("a content-type of the row takes the place of ours", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());

    auto record = kafka_fixture::record("orders", "k", "<a/>");
    record.headers = {{"Content-Type", "text/xml"}};
    REQUIRE(relay.send(record) == admission::pending);
    REQUIRE(relay.all_told());

    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 1).read(1);
    REQUIRE(got.size() == 1);
    CHECK(got[0].headers ==
          headers{{"Content-Type", "text/xml"}, {"id", "0192d3c1-0000-7000-8000-000000000001"}});
}

TEST_CASE("with metadata a record says where it stood in the stream", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(), {}, true);

    auto record = kafka_fixture::record("orders", "k", "{}");
    record.position = {lsn{0x16'b374'd848}, 0, 4'000'000'000, 12};
    record.epoch = 18'446'744'073'709'551'615U;
    record.headers = {{"walrelay-epoch", "1"}};
    REQUIRE(relay.send(record) == admission::pending);
    REQUIRE(relay.all_told());

    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 1).read(1);
    REQUIRE(got.size() == 1);
    CHECK(got[0].header("walrelay-lsn") == "16/B374D848");
    CHECK(got[0].header("walrelay-seq") == "12");
    CHECK(got[0].header("walrelay-xid") == "4000000000");
    CHECK(got[0].header("walrelay-table") == "walrelay.outbox");
    REQUIRE(got[0].headers.back().first == "walrelay-epoch");
    CHECK(got[0].headers.back().second == "18446744073709551615");
}

TEST_CASE("a push arrives with the headers of its workflow behind the row's own", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("jobs", 1);
    kafka_fixture relay(cluster.bootstraps());

    auto record = kafka_fixture::record("jobs", "k", "{}");
    record.headers = {{"workflow-id", "forged"}};
    record.push = {"0192-w", "2", "mail", ""};
    REQUIRE(relay.send(record) == admission::pending);
    REQUIRE(relay.all_told());

    const auto got = kafka_consumer(cluster.bootstraps(), "jobs", 1).read(1);
    REQUIRE(got.size() == 1);
    CHECK(got[0].headers == headers{{"workflow-id", "forged"},
                                    {"content-type", "application/json"},
                                    {"id", "0192d3c1-0000-7000-8000-000000000001"},
                                    {"workflow-id", "0192-w"},
                                    {"workflow-attempt", "2"},
                                    {"queue", "mail"},
                                    {"name", ""}});
}

TEST_CASE("a record of Debezium's style arrives with its id, the row's headers and no other",
          "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("outbox.event.Order", 1);
    kafka_fixture relay(cluster.bootstraps(), {}, true);

    auto record = kafka_fixture::record("outbox.event.Order", "k", "{}");
    record.type = "OrderPlaced";
    record.style = event::header_style::debezium;
    record.headers = {{"eventType", "OrderPlaced"}, {"tenant", std::nullopt}};
    REQUIRE(relay.send(record) == admission::pending);
    REQUIRE(relay.all_told());

    const auto got = kafka_consumer(cluster.bootstraps(), "outbox.event.Order", 1).read(1);
    REQUIRE(got.size() == 1);
    CHECK(got[0].headers == headers{{"id", "0192d3c1-0000-7000-8000-000000000001"},
                                    {"eventType", "OrderPlaced"},
                                    {"tenant", std::nullopt}});
}

TEST_CASE("B13: a key goes to the partition where Java's producer puts it", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 7);
    kafka_fixture relay(cluster.bootstraps());

    std::deque<std::string> keys{"", "kafka", "giberish123456789", "1234", "234", "34", "4"};
    for (int i = 0; i < 1000; ++i)
        keys.push_back("customer-" + std::to_string(i) + "-\xc3\xa9");
    for (const std::string& key : keys) {
        REQUIRE(relay.send(kafka_fixture::record("orders", key, "{}")) == admission::pending);
    }
    REQUIRE(relay.all_told());

    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 7).read(keys.size());
    REQUIRE(got.size() == keys.size());
    for (const kafka_record& record : got) {
        INFO("key " << record.key.value_or("(none)"));
        REQUIRE(record.key);
        CHECK(record.partition == java_partition(*record.key, 7));
    }
}

TEST_CASE("B13: a thousand keys go where Kafka's own console producer put them", "[kafka]") {
    std::ifstream file(WALRELAY_SOURCE_DIR "/tests/fixtures/kafka/java_partitions.txt");
    std::map<std::string, std::int32_t> expected;
    std::int32_t partition = 0;
    for (std::string key; file >> partition >> key;)
        expected.emplace(key, partition);
    REQUIRE(expected.size() == 1000);

    mock_cluster cluster;
    cluster.create_topic("orders", 7);
    kafka_fixture relay(cluster.bootstraps());
    for (const auto& [key, java_put_it] : expected) {
        CHECK(java_partition(key, 7) == java_put_it);
        REQUIRE(relay.send(kafka_fixture::record("orders", key, "{}")) == admission::pending);
    }
    REQUIRE(relay.all_told());
    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 7).read(expected.size());
    REQUIRE(got.size() == expected.size());
    for (const kafka_record& record : got) {
        INFO("key " << record.key.value_or("(none)"));
        CHECK(record.partition == expected.at(record.key.value()));
    }
}

TEST_CASE(
    "a large backlog arrives once and in order, told in portions that leave the loop to others",
    "[kafka]") {
    constexpr std::uint32_t records = 30'000;
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());

    std::deque<std::string> bodies;
    for (std::uint32_t i = 0; i < records; ++i) {
        bodies.push_back(std::to_string(i));
        REQUIRE(relay.send(kafka_fixture::record("orders", "k", bodies.back())) ==
                admission::pending);
    }
    REQUIRE(relay.all_told());
    CHECK(relay.heard.count(outcome_class::delivered) == records);
    CHECK(relay.heard.each_once());
    CHECK(relay.heard.largest_turn <= 2'000);

    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 1).read(records);
    REQUIRE(got.size() == records);
    for (std::uint32_t i = 0; i < records; ++i)
        REQUIRE(got[i].value == std::to_string(i));
}

TEST_CASE("B9: a full queue is flow control, and room is told", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(), {{"queue.buffering.max.messages", "10"}});

    auto record = kafka_fixture::record("orders", "k", "{}");
    for (std::uint32_t i = 0; i < 10; ++i) {
        REQUIRE(relay.out->send({i, 1}, 1, record, relay.refusal) == admission::pending);
    }
    CHECK(relay.out->send({10, 1}, 1, record, relay.refusal) == admission::full);
    CHECK(relay.out->in_flight() == 10);
    REQUIRE(relay.run_until([&] { return relay.heard.settles > 0; }));
    CHECK(relay.out->send({10, 1}, 1, record, relay.refusal) == admission::pending);
    REQUIRE(relay.run_until([&] { return relay.heard.told == 11; }));
    CHECK(relay.heard.each_once());
}

}  // namespace walrelay::test
