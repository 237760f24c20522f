// Brokers that go and come, producers that die, and the end of the sink.
#include <deque>

#include "kafka_fixture.hpp"
#include "support/kafka_consumer.hpp"

namespace walrelay::test {

namespace {

using engine::outcome_class;
using sink::admission;

}  // namespace

TEST_CASE(
    "B1: a broker that goes is named while records wait, and they are delivered when it is back",
    "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "0")) == admission::pending);
    REQUIRE(relay.all_told());

    cluster.broker_down();
    for (const char* body : {"1", "2", "3"}) {
        REQUIRE(relay.send(kafka_fixture::record("orders", "k", body)) == admission::pending);
    }
    REQUIRE(relay.run_until([&] { return !relay.heard.notices.empty(); }));
    CHECK(contains(relay.heard.notices.back(), cluster.bootstraps()));
    CHECK(relay.out->in_flight() == 3);

    cluster.broker_up();
    REQUIRE(relay.all_told());
    CHECK(relay.heard.count(outcome_class::delivered) == 4);
    REQUIRE(relay.run_until([&] { return relay.heard.notices.back().empty(); }));

    const auto got = kafka_consumer(cluster.bootstraps(), "orders", 1).read(4);
    REQUIRE(got.size() == 4);
    for (int i = 0; i < 4; ++i)
        CHECK(got[static_cast<std::size_t>(i)].value == std::to_string(i));
}

TEST_CASE("B2: a broker that is down at the start is named as soon as a record waits for it",
          "[kafka]") {
    // Port 1 of the loopback: nobody listens there.
    kafka_fixture relay("127.0.0.1:1");
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.run_until([&] { return !relay.heard.notices.empty(); }));
    CHECK(contains(relay.heard.notices.front(), "no broker of 127.0.0.1:1 reachable"));
    CHECK_FALSE(contains(relay.heard.notices.front(), "(after"));
    CHECK(relay.heard.told == 0);

    relay.out->purge();
    REQUIRE(relay.all_told());
    CHECK(relay.outcome(0).what == outcome_class::transient);
    REQUIRE(relay.run_until([&] { return relay.heard.notices.back().empty(); }));
}

TEST_CASE("an idle sink whose broker restarts gives no notice", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.all_told());

    cluster.broker_down();
    CHECK_FALSE(
        relay.run_until([&] { return !relay.heard.notices.empty(); }, std::chrono::seconds{2}));
    cluster.broker_up();
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.all_told());
    CHECK(relay.heard.count(outcome_class::delivered) == 2);
}

TEST_CASE("a purge gives each pending record exactly one outcome, and the sink goes on",
          "[kafka]") {
    constexpr std::size_t records = 5'000;
    mock_cluster cluster;
    cluster.create_topic("orders", 3);
    kafka_fixture relay(cluster.bootstraps(), {{"batch.num.messages", "100"}, {"linger.ms", "0"}});
    cluster.slow_down(std::chrono::milliseconds{300});

    std::deque<std::string> keys;
    for (std::size_t i = 0; i < records; ++i) {
        keys.push_back(std::to_string(i));
        REQUIRE(relay.send(kafka_fixture::record("orders", keys.back(), "{}")) ==
                admission::pending);
        if (i == records / 2) {  // some of them are on the wire by now
            REQUIRE(relay.run_until([&] { return relay.heard.told > 0; }));
        }
    }
    relay.out->purge();
    CHECK(relay.out->send({0, 2}, 1, kafka_fixture::record("orders", "k", "{}"), relay.refusal) ==
          admission::full);
    REQUIRE(relay.all_told());
    CHECK(relay.heard.told == records);
    CHECK(relay.heard.each_once());
    CHECK(relay.heard.count(outcome_class::transient) > 0);
    CHECK(relay.heard.count(outcome_class::transient) +
              relay.heard.count(outcome_class::delivered) ==
          records);

    cluster.slow_down(std::chrono::milliseconds{0});
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.all_told());
    CHECK(relay.outcome(relay.next_slot - 1).what == outcome_class::delivered);
}

TEST_CASE("a purge while the broker is away ends as well", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.all_told());
    cluster.broker_down();
    for (int i = 0; i < 100; ++i) {
        REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    }
    relay.out->purge();
    REQUIRE(relay.run_until([&] { return relay.out->in_flight() == 0; }));
    CHECK(relay.heard.told == 101);
    CHECK(relay.heard.each_once());
    CHECK(relay.heard.count(outcome_class::transient) == 100);
}

TEST_CASE("B10: that the last outcomes of a dead producer are told is said, though nobody asks",
          "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(), {{"linger.ms", "0"}});
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.all_told());
    const std::size_t settles = relay.heard.settles;
    cluster.refuse_produce(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, 20);
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.all_told());
    CHECK(relay.outcome(1).what == outcome_class::transient);
    CHECK(relay.run_until([&] { return relay.heard.settles > settles; }));
}

TEST_CASE("B10: a producer with a fatal error is replaced, and nothing waits for ever", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(), {{"batch.num.messages", "1"}, {"linger.ms", "0"}});
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.all_told());

    // A sequence error that is not the follower of another one: librdkafka can't mend it.
    cluster.refuse_produce(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, 20);
    std::size_t sent = 1;
    const auto fatal = [&] {
        return !relay.heard.notices.empty() &&
               relay.heard.notices.front().find("made anew") != std::string::npos;
    };
    REQUIRE(relay.run_until([&] {
        if (fatal()) return true;
        const auto answer = relay.out->send(
            {relay.next_slot, 1}, 1, kafka_fixture::record("orders", "k", "{}"), relay.refusal);
        if (answer == admission::pending) {
            ++relay.next_slot;
            ++relay.accepted;
            ++sent;
        }
        return false;
    }));
    rd_kafka_mock_clear_request_errors(cluster.get(), produce_request);
    REQUIRE(relay.all_told());
    CHECK(relay.heard.told == sent);
    CHECK(relay.heard.each_once());
    CHECK(relay.heard.count(outcome_class::delivered) +
              relay.heard.count(outcome_class::transient) ==
          sent);
    CHECK(relay.heard.count(outcome_class::transient) > 0);

    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    REQUIRE(relay.all_told());
    CHECK(relay.outcome(relay.next_slot - 1).what == outcome_class::delivered);
    REQUIRE(relay.run_until([&] { return relay.heard.notices.back().empty(); }));
}

TEST_CASE("a sink with records pending ends promptly, with the broker there or not", "[kafka]") {
    const bool broker_there = GENERATE(true, false);
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());
    cluster.slow_down(std::chrono::milliseconds{10'000});
    if (!broker_there) cluster.broker_down();
    auto body = std::make_unique<std::string>(100, 'x');
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(relay.send(kafka_fixture::record("orders", "k", *body)) == admission::pending);
    }
    const auto began = kafka_fixture::clock::now();
    relay.out.reset();
    CHECK(kafka_fixture::clock::now() - began < std::chrono::seconds{8});
    body.reset();  // nobody reads it any more: a sanitizer would tell
    relay.loop.restart();
    relay.loop.poll();
    CHECK(relay.heard.told == 0);
}

}  // namespace walrelay::test
