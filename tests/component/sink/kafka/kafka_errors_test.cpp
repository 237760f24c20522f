// What a broker's refusals become.
#include <set>

#include "resender.hpp"
#include "sink/kafka/error_class.hpp"
#include "sink/kafka/topic_name.hpp"

namespace walrelay::test {

namespace {

using engine::outcome_class;
using sink::admission;

}  // namespace

TEST_CASE("only success is called delivered, and codes that nobody knows stall", "[kafka]") {
    const rd_kafka_err_desc* codes = nullptr;
    std::size_t count = 0;
    rd_kafka_get_err_descs(&codes, &count);
    REQUIRE(count > 100);
    for (std::size_t i = 0; i < count; ++i) {
        if (!codes[i].desc) continue;
        INFO(codes[i].name);
        const bool success = codes[i].code == RD_KAFKA_RESP_ERR_NO_ERROR;
        CHECK((sink::kafka::class_of(codes[i].code) == outcome_class::delivered) == success);
    }
    for (const int code : {-9999, -1, 9999}) {
        CHECK(sink::kafka::class_of(static_cast<rd_kafka_resp_err_t>(code)) ==
              outcome_class::unknown);
    }
}

TEST_CASE("each code of brokers and of librdkafka has the class that decides what follows",
          "[kafka]") {
    const std::map<outcome_class, std::set<rd_kafka_resp_err_t>> expected{
        {outcome_class::transient,
         {RD_KAFKA_RESP_ERR__TRANSPORT,
          RD_KAFKA_RESP_ERR__RESOLVE,
          RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
          RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
          RD_KAFKA_RESP_ERR__TIMED_OUT,
          RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
          RD_KAFKA_RESP_ERR__PURGE_QUEUE,
          RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
          RD_KAFKA_RESP_ERR__QUEUE_FULL,
          RD_KAFKA_RESP_ERR__ISR_INSUFF,
          RD_KAFKA_RESP_ERR__NODE_UPDATE,
          RD_KAFKA_RESP_ERR__WAIT_COORD,
          RD_KAFKA_RESP_ERR__WAIT_CACHE,
          RD_KAFKA_RESP_ERR__IN_PROGRESS,
          RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS,
          RD_KAFKA_RESP_ERR__INTR,
          RD_KAFKA_RESP_ERR__RETRY,
          RD_KAFKA_RESP_ERR__DESTROY,
          RD_KAFKA_RESP_ERR__OUTDATED,
          RD_KAFKA_RESP_ERR__UNKNOWN_BROKER,
          RD_KAFKA_RESP_ERR__BAD_MSG,
          RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
          RD_KAFKA_RESP_ERR__UNDERFLOW,
          RD_KAFKA_RESP_ERR__PARTIAL,
          RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE,
          RD_KAFKA_RESP_ERR__FATAL,
          RD_KAFKA_RESP_ERR__FENCED,
          RD_KAFKA_RESP_ERR__INCONSISTENT,
          RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE,
          RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
          RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
          RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
          RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
          RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
          RD_KAFKA_RESP_ERR_STALE_CTRL_EPOCH,
          RD_KAFKA_RESP_ERR_STALE_BROKER_EPOCH,
          RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
          RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
          RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
          RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
          RD_KAFKA_RESP_ERR_NOT_CONTROLLER,
          RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
          RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
          RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
          RD_KAFKA_RESP_ERR_LOG_DIR_NOT_FOUND,
          RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS,
          RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
          RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
          RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE,
          RD_KAFKA_RESP_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE,
          RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
          RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
          RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER,
          RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
          RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
          RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
          RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
          RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS}},
        {outcome_class::target,
         {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
          RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED}},
        {outcome_class::endpoint,
         {RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL,
          RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
          RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
          RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED,
          RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_EXPIRED, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
          RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE,
          RD_KAFKA_RESP_ERR_SECURITY_DISABLED, RD_KAFKA_RESP_ERR_UNACCEPTABLE_CREDENTIAL,
          RD_KAFKA_RESP_ERR_PRINCIPAL_DESERIALIZATION_FAILURE,
          RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
          RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS}},
        {outcome_class::batch,
         {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
          RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
          RD_KAFKA_RESP_ERR_INVALID_RECORD, RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
          RD_KAFKA_RESP_ERR_POLICY_VIOLATION, RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT}},
        {outcome_class::event_final, {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION}},
    };
    std::set<rd_kafka_resp_err_t> known{RD_KAFKA_RESP_ERR_NO_ERROR};
    for (const auto& [what, codes] : expected) {
        for (const auto code : codes) {
            const auto outcome = sink::kafka::classify(code, "orders");
            INFO(outcome.reason);
            CHECK(outcome.what == what);
            CHECK(contains(outcome.reason, "orders"));
            CHECK(contains(outcome.reason, rd_kafka_err2name(code)));
            CHECK(known.insert(code).second);
        }
    }
    const rd_kafka_err_desc* codes = nullptr;
    std::size_t count = 0;
    rd_kafka_get_err_descs(&codes, &count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!codes[i].desc || known.contains(codes[i].code)) continue;
        INFO(codes[i].name);
        CHECK(sink::kafka::class_of(codes[i].code) == outcome_class::unknown);
    }
}

TEST_CASE("a broker's refusal of a produce request is told with its class and the topic",
          "[kafka]") {
    const std::vector<std::pair<int, outcome_class>> refusals{
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, outcome_class::batch},
        {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, outcome_class::batch},
        {RD_KAFKA_RESP_ERR_INVALID_RECORD, outcome_class::batch},
        {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, outcome_class::batch},
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, outcome_class::batch},
        {RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, outcome_class::batch},
        {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, outcome_class::endpoint},
        {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, outcome_class::endpoint},
        {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, outcome_class::endpoint},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, outcome_class::target},
        {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, outcome_class::event_final},
        {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, outcome_class::transient},
        {RD_KAFKA_RESP_ERR_UNKNOWN, outcome_class::unknown},
        {RD_KAFKA_RESP_ERR_INVALID_REQUEST, outcome_class::unknown},
        {RD_KAFKA_RESP_ERR_INVALID_CONFIG, outcome_class::unknown},
        {200, outcome_class::unknown},  // no name for it, yet
    };
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());
    const std::string body(2000, 'x');
    for (const auto& [number, what] : refusals) {
        const auto code = static_cast<rd_kafka_resp_err_t>(number);
        INFO(rd_kafka_err2name(code));
        cluster.refuse_produce(code, 1);
        REQUIRE(relay.send(kafka_fixture::record("orders", "k", body)) == admission::pending);
        REQUIRE(relay.all_told());
        const auto& told = relay.outcome(relay.next_slot - 1);
        INFO(told.reason);
        CHECK(told.what == what);
        CHECK(contains(told.reason, "orders"));
        CHECK(contains(told.reason, rd_kafka_err2name(code)));
        if (what == outcome_class::batch) CHECK(contains(told.reason, "2001 bytes"));
        CHECK_FALSE(contains(told.reason, "xxx"));

        INFO("the next attempt is not harmed by the last");
        const auto again = [&] {
            return relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending &&
                   relay.all_told() &&
                   relay.outcome(relay.next_slot - 1).what == outcome_class::delivered;
        };
        REQUIRE(relay.run_until(again));
    }
}

TEST_CASE("B15: a broker that can't write for a while delays records and costs none", "[kafka]") {
    const bool pipelined = GENERATE(false, true);
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps(), small_batches(pipelined));
    resender rows(relay, "orders");
    rows.send(200);
    REQUIRE(relay.run_until([&] { return relay.heard.told > 50; }));
    cluster.refuse_produce(RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, 10);
    rows.send(200);
    rows.finish(1'000);
    for (const auto what : rows.seen)
        CHECK(what == outcome_class::transient);
    if (!pipelined) static_cast<void>(rows.log(cluster.bootstraps(), 1'000));
}

TEST_CASE("B4: a burst of too few replicas is not seen by anybody", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    kafka_fixture relay(cluster.bootstraps());
    cluster.refuse_produce(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, 5);
    cluster.refuse_produce(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 2);
    cluster.refuse_produce(RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, 2);

    for (int i = 0; i < 100; ++i) {
        REQUIRE(relay.send(kafka_fixture::record("orders", "k", "{}")) == admission::pending);
    }
    REQUIRE(relay.all_told());
    CHECK(relay.heard.count(outcome_class::delivered) == 100);
    CHECK(relay.heard.notices.empty());
}

TEST_CASE(
    "B6: a record that no broker would take is refused before it is sent, with size and limit",
    "[kafka]") {
    mock_cluster cluster;
    kafka_fixture relay(cluster.bootstraps(), {{"message.max.bytes", "2000"}});
    const std::string large(3000, 'x');
    const std::string secret = "s3cr3t";

    CHECK(relay.send(kafka_fixture::record("orders", "k", large)) == admission::refused);
    CHECK(relay.refusal.what == outcome_class::event_final);
    CHECK(contains(relay.refusal.reason, "bytes"));
    CHECK(contains(relay.refusal.reason, "message.max.bytes"));
    CHECK(contains(relay.refusal.reason, "2000"));

    auto many_bytes = kafka_fixture::record("orders", "k", "{}");
    many_bytes.headers = {{"h", large}};
    CHECK(relay.send(many_bytes) == admission::refused);
    CHECK(relay.refusal.what == outcome_class::event_final);

    auto many_headers = kafka_fixture::record("orders", "k", "{}");
    many_headers.headers.assign(65, {"h", secret});
    CHECK(relay.send(many_headers) == admission::refused);
    CHECK(relay.refusal.what == outcome_class::event_final);
    CHECK(contains(relay.refusal.reason, "65 headers"));
    CHECK_FALSE(contains(relay.refusal.reason, secret));

    const std::string long_key(64 * 1024 + 1, 'k');
    CHECK(relay.send(kafka_fixture::record("orders", long_key, "{}")) == admission::refused);
    CHECK(relay.refusal.what == outcome_class::event_final);
    CHECK(contains(relay.refusal.reason, "key"));
    CHECK(contains(relay.refusal.reason, "65537"));

    CHECK(relay.out->in_flight() == 0);
    CHECK(relay.heard.told == 0);
}

TEST_CASE("an event of the largest size that the relay takes fits, headers and all", "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("orders", 1);
    config::limits limits;
    limits.event_bytes = 3 << 20;
    kafka_fixture relay(cluster.bootstraps(), {}, true, limits);
    const std::string body(3 << 20, 'x');
    const std::string key(64 * 1024, 'k');
    REQUIRE(relay.send(kafka_fixture::record("orders", key, body)) == admission::pending);
    REQUIRE(relay.all_told());
    CHECK(relay.outcome(0).what == outcome_class::delivered);
}

TEST_CASE("a record larger than the whole queue is refused, not waited for", "[kafka]") {
    mock_cluster cluster;
    kafka_fixture relay(cluster.bootstraps(), {{"queue.buffering.max.kbytes", "1"}});
    const std::string large(5000, 'x');
    CHECK(relay.send(kafka_fixture::record("orders", "k", large)) == admission::refused);
    CHECK(relay.refusal.what == outcome_class::event_final);
    CHECK(contains(relay.refusal.reason, "queue.buffering.max.kbytes"));
    CHECK(contains(relay.refusal.reason, "1024"));
}

TEST_CASE("B8: a topic name that Kafka would refuse never reaches a broker", "[kafka]") {
    mock_cluster cluster;
    kafka_fixture relay(cluster.bootstraps());
    for (const std::string& name :
         {std::string("a b"), std::string(300, 'a'), std::string(".."), std::string("."),
          std::string("__consumer_offsets"), std::string(), std::string("a\r\nb"),
          std::string("a\0b", 3), std::string("\xc3\xa9")}) {
        INFO(name);
        CHECK(relay.send(kafka_fixture::record(name, "k", "{}")) == admission::refused);
        CHECK(relay.refusal.what == outcome_class::event_final);
        CHECK(relay.refusal.reason.find('\n') == std::string::npos);
    }
    CHECK_FALSE(sink::kafka::topic_name_fault(std::string(249, 'a')));
    CHECK_FALSE(sink::kafka::topic_name_fault("Orders.v1_new-2"));
}

TEST_CASE("B5: a topic that does not exist is told, and used within seconds when it is created",
          "[kafka]") {
    mock_cluster cluster;
    cluster.create_topic("late", 1);
    cluster.set_topic_error("late", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    kafka_fixture relay(cluster.bootstraps());
    const auto record = kafka_fixture::record("late", "k", "{}");

    REQUIRE(relay.send(record) == admission::pending);
    REQUIRE(relay.all_told());
    INFO(relay.outcome(0).reason);
    CHECK(relay.outcome(0).what == outcome_class::target);
    CHECK(contains(relay.outcome(0).reason, "late"));

    // Still missing: now it is known at once, or asked again, but always named.
    if (relay.send(record) == admission::pending) {
        REQUIRE(relay.all_told());
        CHECK(relay.outcome(1).what == outcome_class::target);
    } else {
        CHECK(relay.refusal.what == outcome_class::target);
    }

    cluster.set_topic_error("late", RD_KAFKA_RESP_ERR_NO_ERROR);
    const auto created = kafka_fixture::clock::now();
    const auto delivered = [&] {
        return relay.send(record) == admission::pending && relay.all_told() &&
               relay.outcome(relay.next_slot - 1).what == outcome_class::delivered;
    };
    CHECK(relay.run_until(delivered));
    CHECK(kafka_fixture::clock::now() - created < std::chrono::seconds{20});
}

}  // namespace walrelay::test
