#include "judge_sinks.hpp"

#include "judged.hpp"
#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

using sink::http_facts;
using sink::kafka_facts;
using sink::topic_facts;

constexpr std::uint64_t mebibyte = 1U << 20;

config::model kafka_map(const std::optional<std::string>& topic = "orders") {
    auto model = one_route_map();
    config::kafka_sink kafka;
    kafka.brokers = "k1:9092,k2:9092";
    model.sinks[0] = {"events", kafka, {}};
    model.routes[0].topic = topic;
    return model;
}

topic_facts healthy_topic() {
    topic_facts topic;
    topic.name = "orders";
    topic.what = topic_facts::state::there;
    topic.partitions = 12;
    topic.fewest_replicas = 3;
    topic.fewest_in_sync = 3;
    topic.max_message_bytes = 2 * mebibyte;
    topic.min_insync_replicas = 2;
    topic.unclean_leader_election = false;
    return topic;
}

kafka_facts healthy_brokers() {
    kafka_facts found;
    found.answered = true;
    found.brokers = 3;
    found.auto_create_topics = false;
    found.message_max_bytes = mebibyte + 128 * 1024;
    found.topics.push_back(healthy_topic());
    return found;
}

/// The one finding above `ok`.
finding only_remark(const std::vector<finding>& all) {
    std::vector<finding> remarks;
    for (const auto& one : all) {
        if (one.level != severity::ok) remarks.push_back(one);
    }
    REQUIRE(remarks.size() == 1);
    return remarks[0];
}

finding only_remark(const kafka_facts& found, const config::model& model = kafka_map()) {
    return only_remark(judge_kafka(found, model, 0));
}

finding of_topic(void (*change)(topic_facts&)) {
    auto found = healthy_brokers();
    change(found.topics[0]);
    return only_remark(found);
}

TEST_CASE("Healthy brokers and topics are told with the largest record that they take") {
    const auto all = judge_kafka(healthy_brokers(), kafka_map(), 0);
    REQUIRE(all.size() == 2);
    CHECK(all[0].level == severity::ok);
    CHECK(all[0].text == "3 brokers answer");
    CHECK(all[1].level == severity::ok);
    CHECK(all[1].text == "12 partitions, takes up to 1.0 MiB a record (limits.event_bytes)");
}

TEST_CASE("Brokers that do not answer stop, with what the connections said") {
    kafka_facts found;
    found.faults = {"k1:9092: Connect failed: Connection refused"};
    auto one = only_remark(found);
    CHECK(one.level == severity::stops);
    CHECK(says(one, "no broker of k1:9092,k2:9092 answers: k1:9092: Connect failed"));
    CHECK(mends_with(one, "sinks.events.kafka.brokers"));
    found.faults = {"SASL authentication error: Authentication failed"};
    CHECK(mends_with(only_remark(found), "sasl.username"));
    CHECK_FALSE(mends_with(only_remark(found), "librdkafka 2.6.1"));
    found.outdated_scram = true;
    CHECK(mends_with(only_remark(found), "librdkafka 2.6.1"));
    found.faults = {"SSL handshake failed: certificate verify failed"};
    CHECK(mends_with(only_remark(found), "ssl.ca.location"));
    found.faults = {
        "Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: "
        "SSL alert number 42"};
    CHECK(mends_with(only_remark(found), "ssl.certificate.location"));
}

TEST_CASE("Properties that librdkafka does not take stop") {
    kafka_facts found;
    found.settings_fault = "acks must be set to all";
    CHECK(only_remark(found).level == severity::stops);
    CHECK(mends_with(only_remark(found), "sinks.events.kafka.properties"));
}

TEST_CASE("A topic that is missing stops, unless the brokers make it") {
    auto found = healthy_brokers();
    found.topics[0].what = topic_facts::state::missing;
    auto one = only_remark(found);
    CHECK(one.level == severity::stops);
    CHECK(mends_with(one,
                     "kafka-topics.sh --bootstrap-server 'k1:9092,k2:9092' --create --topic "
                     "'orders' --partitions 12 --replication-factor 3"));
    found.auto_create_topics = true;
    CHECK(only_remark(found).level == severity::warns);
    found.auto_create_topics.reset();
    CHECK(only_remark(found).level == severity::warns);
    CHECK(says(only_remark(found), "can't be read"));
}

TEST_CASE("A topic without the right to it stops with the command that gives it") {
    const auto one = of_topic([](auto& topic) { topic.what = topic_facts::state::forbidden; });
    CHECK(one.level == severity::stops);
    CHECK(mends_with(one, "kafka-acls.sh"));
}

TEST_CASE("A topic name can't bend the command that mends it") {
    auto found = healthy_brokers();
    found.topics[0].name = "a'; rm -rf '";
    found.topics[0].what = topic_facts::state::missing;
    CHECK(mends_with(only_remark(found), R"(--topic 'a'\''; rm -rf '\''' --)"));
}

TEST_CASE("Partitions without a leader stop") {
    const auto one = of_topic([](auto& topic) { topic.without_leader = 2; });
    CHECK(one.level == severity::stops);
    CHECK(says(one, "2 of 12 partitions have no leader"));
}

TEST_CASE("The smallest of the three limits is named, with what raises it") {
    auto one = of_topic([](auto& topic) { topic.max_message_bytes = 512 * 1024; });
    CHECK(one.level == severity::warns);
    CHECK(says(one, "at most 512.0 KiB a record (max.message.bytes of the topic)"));
    CHECK(mends_with(one, "--add-config max.message.bytes=1179648"));
    CHECK(mends_with(one, "limits.event_bytes: 512KiB"));

    auto found = healthy_brokers();
    found.message_max_bytes = 100'000;
    one = only_remark(found);
    CHECK(one.level == severity::warns);
    CHECK(says(one, "message.max.bytes"));
    CHECK(mends_with(one, "sinks.events.kafka.properties.message.max.bytes: 1048576"));
}

TEST_CASE("Replicas that can never acknowledge stop, and those that stop with one broker warn") {
    auto one = of_topic([](auto& topic) { topic.min_insync_replicas = 4; });
    CHECK(one.level == severity::stops);
    CHECK(says(one, "min.insync.replicas is 4 of 3 replicas: no record can ever be acknowledged"));
    CHECK(mends_with(one, "min.insync.replicas=2"));
    one = of_topic([](auto& topic) { topic.fewest_in_sync = 1; });
    CHECK(one.level == severity::stops);
    CHECK(says(one, "only 1 in sync"));
    one = of_topic([](auto& topic) { topic.min_insync_replicas = 3; });
    CHECK(one.level == severity::warns);
    CHECK(says(one, "one broker down stops it"));
    one = of_topic([](auto& topic) { topic.min_insync_replicas = 1; });
    CHECK(one.level == severity::warns);
    CHECK(mends_with(one, "min.insync.replicas=2"));
}

TEST_CASE("A single replica warns only where there are more brokers") {
    auto found = healthy_brokers();
    found.topics[0].fewest_replicas = found.topics[0].fewest_in_sync = 1;
    found.topics[0].min_insync_replicas = 1;
    CHECK(only_remark(found).level == severity::warns);
    found.brokers = 1;
    CHECK(only_remark(found).level == severity::info);
}

TEST_CASE("Unclean elections warn; a compacted topic and hidden limits are told") {
    auto one = of_topic([](auto& topic) { topic.unclean_leader_election = true; });
    CHECK(one.level == severity::warns);
    CHECK(mends_with(one, "unclean.leader.election.enable=false"));
    CHECK(says(of_topic([](auto& topic) { topic.compacted = true; }), "without a key"));
    one = of_topic([](auto& topic) { topic.config_fault = "not authorized"; });
    CHECK(one.level == severity::info);
    CHECK(says(one, "not authorized"));
}

TEST_CASE("Topics that rows name can't be looked at, and it says so") {
    auto found = healthy_brokers();
    found.topics.clear();
    const auto one = only_remark(found, kafka_map("{topic}.v1"));
    CHECK(one.level == severity::info);
    CHECK(says(one, "{topic}.v1"));
    CHECK(says(one, "stalls until somebody makes it"));
}

TEST_CASE("The topics of a sink are those of its routes, with the defaults of their shapes") {
    auto model = kafka_map("orders");
    model.routes.push_back(model.routes[0]);
    model.routes.push_back(model.routes[0]);
    model.routes.back().topic.reset();
    model.routes.push_back(model.routes[0]);
    model.routes.back().topic.reset();
    model.routes.back().shape = config::push_shape{};
    model.routes.push_back(model.routes[0]);
    model.routes.back().topic.reset();
    config::mapped_shape debezium;
    debezium.debezium = true;
    model.routes.back().shape = debezium;
    model.routes.push_back(model.routes[0]);
    model.routes.back().topic = "a{{b";
    model.routes.push_back(model.routes[0]);
    model.routes.back().topic = "elsewhere";
    model.routes.back().to = {1};
    const auto topics = topics_of(model, 0);
    CHECK(topics.constant == std::vector<std::string>{"orders", "a{b"});
    CHECK(topics.templates ==
          std::vector<std::string>{"{topic}", "{queue}", "outbox.event.{aggregatetype}"});
}

// HTTP

config::model http_map() {
    auto model = one_route_map();
    config::http_sink http;
    http.url = "https://hooks.example/in";
    model.sinks[0] = {"hooks", http, {}};
    return model;
}

http_facts healthy_endpoint() {
    http_facts found;
    found.endpoint = "hooks.example:443";
    found.tls = true;
    found.server_certificate_left = std::chrono::hours{24 * 60};
    return found;
}

finding of_endpoint(const http_facts& found) {
    return only_remark(judge_http(found, http_map(), 0));
}

TEST_CASE("An endpoint that answers with a good certificate is fine") {
    const auto all = judge_http(healthy_endpoint(), http_map(), 0);
    REQUIRE(all.size() == 1);
    CHECK(all[0].level == severity::ok);
    CHECK(says(all[0], "certificate is accepted"));
}

TEST_CASE("A certificate warns two weeks before its end") {
    auto found = healthy_endpoint();
    found.server_certificate_left = std::chrono::hours{24 * 13 + 1};
    auto one = of_endpoint(found);
    CHECK(one.level == severity::warns);
    CHECK(says(one, "the certificate of hooks.example:443 expires in 13 days"));
    found = healthy_endpoint();
    found.own_certificate_left = std::chrono::hours{24};
    one = of_endpoint(found);
    CHECK(says(one, "tls.cert expires in 1 day"));
    found.own_certificate_left = std::chrono::seconds{-5};
    one = of_endpoint(found);
    CHECK(one.level == severity::stops);
    CHECK(says(one, "tls.cert has expired"));
}

TEST_CASE("Each way in which an endpoint can't be reached has its own mend") {
    auto found = healthy_endpoint();
    found.server_certificate_left.reset();
    found.fault = "because";
    found.failed_at = http_facts::step::resolve;
    CHECK(of_endpoint(found).level == severity::stops);
    CHECK(says(of_endpoint(found), "the name of hooks.example:443 can't be resolved: because"));
    found.failed_at = http_facts::step::connect;
    CHECK(says(of_endpoint(found), "hooks.example:443 can't be reached: because"));
    found.failed_at = http_facts::step::settings;
    CHECK(mends_with(of_endpoint(found), "sinks.hooks.http.tls"));
    found.failed_at = http_facts::step::handshake;
    CHECK(mends_with(of_endpoint(found), "client certificate"));
    found.refused = http_facts::certificate_fault::unknown_authority;
    CHECK(mends_with(of_endpoint(found), "sinks.hooks.http.tls.ca"));
    found.refused = http_facts::certificate_fault::other_name;
    CHECK(mends_with(of_endpoint(found), "a name that stands in the certificate"));
    found.refused = http_facts::certificate_fault::time;
    CHECK(mends_with(of_endpoint(found), "a new certificate"));
}

}  // namespace

}  // namespace walrelay::cli
