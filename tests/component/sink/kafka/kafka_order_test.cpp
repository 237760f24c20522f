// Order and completeness when partitions move, producers die, and attempts are given up.
#include <algorithm>
#include <deque>
#include <numeric>

#include "resender.hpp"

namespace walrelay::test {

namespace {

using engine::outcome_class;
using sink::admission;

/// Number of InitProducerId in the Kafka protocol.
constexpr std::int16_t producer_id_request = 22;

std::vector<std::size_t> ascending(std::size_t count) {
    std::vector<std::size_t> numbers(count);
    std::iota(numbers.begin(), numbers.end(), std::size_t{0});
    return numbers;
}

std::vector<std::size_t> first_arrivals(const std::vector<std::size_t>& log) {
    std::set<std::size_t> seen;
    std::vector<std::size_t> first;
    for (const std::size_t number : log) {
        if (seen.insert(number).second) first.push_back(number);
    }
    return first;
}

bool says(const kafka_fixture& relay, std::string_view part) {
    return std::any_of(relay.heard.notices.begin(), relay.heard.notices.end(),
                       [&](const std::string& one) { return contains(one, part); });
}

}  // namespace

TEST_CASE("B4: leaders that change in full flow, and too few replicas, are invisible", "[kafka]") {
    constexpr std::size_t rounds = 12;
    constexpr std::size_t round = 500;
    const bool pipelined = GENERATE(false, true);
    mock_cluster cluster(3);
    rd_kafka_mock_topic_create(cluster.get(), "orders", 1, 3);
    auto with = small_batches(pipelined);
    with["topic.metadata.refresh.interval.ms"] = "200";
    kafka_fixture relay(cluster.bootstraps(), with);
    resender rows(relay, "orders");
    for (std::size_t i = 0; i < rounds; ++i) {
        rows.send(round);
        rd_kafka_mock_partition_set_leader(cluster.get(), "orders", 0,
                                           static_cast<std::int32_t>(i % 3 + 1));
        if (i % 4 == 1) cluster.refuse_produce(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, 3);
        if (i % 4 == 3) cluster.refuse_produce(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 2);
        const std::size_t enough = relay.heard.told + round / 2;
        REQUIRE(relay.run_until([&] { return relay.heard.told >= enough; }));
    }
    rows.finish(rounds * round);
    // A mock broker doesn't know what it has when it was slow to answer before its partition moved:
    // then the producer is made anew, and what is unresolved comes again in order.
    if (!says(relay, "made anew")) {
        CHECK(rows.seen.empty());
        CHECK(relay.heard.notices.empty());
    }
    for (const auto what : rows.seen)
        CHECK(what == outcome_class::transient);
    if (pipelined) return;  // what is in the log says nothing then
    const auto log = rows.log(cluster.bootstraps(), rounds * round);
    CHECK(first_arrivals(log) == ascending(rounds * round));
    if (rows.rewinds == 0) CHECK(log.size() == rounds * round);
}

TEST_CASE(
    "B10: when the producer's sequence or epoch is refused, what is unresolved is sent again in "
    "order",
    "[kafka]") {
    const auto code = GENERATE(
        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
        RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    INFO(rd_kafka_err2name(code));
    constexpr std::size_t total = 3'000;
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(), small_batches(false));
    resender rows(relay, "orders");
    rows.send(500);
    REQUIRE(relay.run_until([&] { return relay.heard.told > 100; }));
    cluster.refuse_produce(code, 10);
    rows.send(500);
    REQUIRE(relay.run_until([&] { return rows.failed() || relay.heard.told == 1'000; }));
    rd_kafka_mock_clear_request_errors(cluster.get(), produce_request);
    rows.finish(total);
    for (const auto what : rows.seen)
        CHECK(what == outcome_class::transient);
    const bool made_anew = says(relay, "made anew");
    const auto log = rows.log(cluster.bootstraps(), total);  // none is missing, the newest is last
    if (code == RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER) {
        CHECK(made_anew);
        CHECK(rows.rewinds > 0);
        CHECK(first_arrivals(log) == ascending(total));
    }
    // Of the other codes a broker that means them refuses what comes behind as well. This one takes
    // it, and so it arrives before what was refused, and once more behind that.
    if (made_anew) CHECK(relay.heard.notices.back().empty());
}

TEST_CASE(
    "B7: a producer that may write nowhere at all stalls the sink by name, and goes on within "
    "seconds when it may",
    "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());
    const std::vector<rd_kafka_resp_err_t> refusals(100,
                                                    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    rd_kafka_mock_push_request_errors_array(cluster.get(), producer_id_request, refusals.size(),
                                            refusals.data());
    resender rows(relay, "orders");
    rows.send(10);
    REQUIRE(relay.all_told());
    REQUIRE(relay.run_until([&] { return rows.failed() == 0U && relay.heard.told == 10; }));
    CHECK(rows.seen == std::set<outcome_class>{outcome_class::endpoint});
    CHECK(contains(relay.outcome(0).reason, "CLUSTER_AUTHORIZATION_FAILED"));
    rd_kafka_mock_clear_request_errors(cluster.get(), producer_id_request);
    const auto allowed = kafka_fixture::clock::now();
    rows.finish(20);
    CHECK(kafka_fixture::clock::now() - allowed < std::chrono::seconds{10});
    CHECK(rows.log(cluster.bootstraps(), 20) == ascending(20));
}

TEST_CASE("the answer to an attempt that was given up says nothing about the next one of its row",
          "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(), {{"linger.ms", "0"}});
    REQUIRE(relay.send(kafka_fixture::record("orders", "k", "0")) == admission::pending);
    REQUIRE(relay.all_told());

    // The broker takes the record, and its answer is under way for five seconds.
    cluster.slow_down(std::chrono::milliseconds{5'000});
    const engine::attempt_token given_up{7, 1};
    const engine::attempt_token again{7, 2};
    const auto record = kafka_fixture::record("orders", "k", "1");
    const auto sent = kafka_fixture::clock::now();
    REQUIRE(relay.out->send(given_up, 1, record, relay.refusal) == admission::pending);
    const auto on_the_wire = [&] {
        return kafka_fixture::clock::now() - sent > std::chrono::milliseconds{1'500};
    };
    REQUIRE(relay.run_until(on_the_wire));
    relay.out->purge();
    REQUIRE(relay.run_until([&] { return relay.out->has_room(); }));
    REQUIRE(relay.heard.outcomes.at(given_up.packed()).size() == 1);
    CHECK(relay.heard.outcomes.at(given_up.packed()).front().what == outcome_class::transient);

    // The next attempt is refused. The late answer to the first one comes before that.
    cluster.refuse_produce(RD_KAFKA_RESP_ERR_INVALID_RECORD, 1);
    REQUIRE(relay.out->send(again, 2, record, relay.refusal) == admission::pending);
    REQUIRE(relay.run_until([&] { return relay.out->in_flight() == 0; }));
    INFO(relay.heard.outcomes.at(again.packed()).front().reason);
    CHECK(relay.heard.outcomes.at(again.packed()).front().what == outcome_class::batch);
    CHECK(relay.heard.each_once());
    CHECK(relay.heard.told == 3);
}

TEST_CASE("outcomes are told in the order of the records, whatever they are", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(),
                        {{"batch.num.messages", "20"}, {"linger.ms", "0"}, one_request_at_a_time});
    const auto send = [&](int count) {
        while (count-- > 0)
            REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    };
    cluster.slow_down(std::chrono::milliseconds{20});
    send(100);
    REQUIRE(relay.run_until([&] { return relay.heard.told > 0; }));
    cluster.refuse_produce(RD_KAFKA_RESP_ERR_INVALID_RECORD, 2);
    send(200);
    REQUIRE(relay.all_told());
    CHECK(relay.heard.count(outcome_class::delivered) >= 100);
    CHECK(relay.heard.count(outcome_class::batch) > 0);
    CHECK(std::is_sorted(relay.heard.order.begin(), relay.heard.order.end()));
}

TEST_CASE("a purge gives up what was sent before it, and nothing that is sent after it",
          "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(), {{"linger.ms", "0"}});
    const auto record = kafka_fixture::record("orders", "k", "{}");
    REQUIRE(relay.send(record) == admission::pending);
    REQUIRE(relay.all_told());
    constexpr std::chrono::milliseconds answer_takes{200};
    cluster.slow_down(answer_takes);
    int in_time = 0;  // purged before the answer came
    for (int round = 0; round < 100 && in_time < 10; ++round) {
        INFO("round " << round);
        const auto sent = kafka_fixture::clock::now();
        REQUIRE(relay.send(record) == admission::pending);
        const std::uint32_t given_up = relay.next_slot - 1;
        relay.out->purge();
        REQUIRE(relay.run_until([&] { return relay.out->has_room(); }));
        if (kafka_fixture::clock::now() - sent < answer_takes) {
            REQUIRE(relay.outcome(given_up).what == outcome_class::transient);
            ++in_time;
        }
        REQUIRE(relay.send(record) == admission::pending);
        REQUIRE(relay.all_told());
        REQUIRE(relay.outcome(relay.next_slot - 1).what == outcome_class::delivered);
    }
    CHECK(in_time == 10);
}

TEST_CASE(
    "B11: of 50,000 records that are queued when it ends, none that was given up is called "
    "delivered",
    "[kafka]") {
    constexpr std::size_t records = 50'000;
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    config::limits limits;
    limits.in_flight_events = records;
    limits.in_flight_bytes = 256 << 20;
    kafka_fixture relay(cluster.bootstraps(), {{"batch.num.messages", "200"}}, false, limits);
    cluster.slow_down(std::chrono::milliseconds{200});
    std::deque<std::string> bodies;
    for (std::size_t i = 0; i < records; ++i) {
        bodies.push_back(std::to_string(i));
        const engine::attempt_token token{static_cast<std::uint32_t>(i), 1};
        REQUIRE(relay.out->send(token, 1, kafka_fixture::record("orders", "k", bodies.back()),
                                relay.refusal) == admission::pending);
    }
    REQUIRE(relay.run_until([&] { return relay.heard.told > 1'000; }));
    relay.out->purge();
    REQUIRE(relay.run_until([&] { return relay.out->in_flight() == 0; }));
    CHECK(relay.heard.told == records);
    CHECK(relay.heard.each_once());
    const std::size_t delivered = relay.heard.count(outcome_class::delivered);
    CHECK(delivered > 0);
    CHECK(relay.heard.count(outcome_class::transient) == records - delivered);
    CHECK(delivered < records);
    relay.out.reset();

    cluster.slow_down(std::chrono::milliseconds{0});
    const auto log = kafka_consumer(cluster.bootstraps(), "orders", 1).read(delivered);
    std::set<std::string> there;
    for (const auto& record : log)
        there.insert(record.value.value());
    for (const auto& [packed, told] : relay.heard.outcomes) {
        if (told.front().what != outcome_class::delivered) continue;
        const auto slot = engine::attempt_token::unpack(packed).slot;
        REQUIRE(there.contains(std::to_string(slot)));
    }
}

}  // namespace walrelay::test
