// The properties of the producer, and what is said about wrong ones.
#include "kafka_fixture.hpp"
#include "sink/kafka/settings.hpp"

namespace walrelay::test {

namespace {

std::string value_of(const sink::kafka::settings& with, const char* property) {
    std::array<char, 256> value{};
    std::size_t size = value.size();
    if (rd_kafka_conf_get(with.conf.get(), property, value.data(), &size) != RD_KAFKA_CONF_OK)
        return "?";
    return value.data();
}

error refused(std::map<std::string, std::string> properties) {
    boost::asio::io_context loop;
    memory_listener heard;
    auto made = sink::make_kafka(loop, {"127.0.0.1:1", std::move(properties), false}, "events", 7,
                                 {}, heard);
    REQUIRE_FALSE(made.has_value());
    return made.error();
}

}  // namespace

TEST_CASE("the defaults keep order and lose nothing", "[kafka]") {
    const auto made = sink::kafka::make_settings({"a:1,b:2", {}, false}, "events", {});
    REQUIRE(made.has_value());
    CHECK(value_of(*made, "bootstrap.servers") == "a:1,b:2");
    CHECK(value_of(*made, "enable.idempotence") == "true");
    CHECK(value_of(*made, "acks") == "-1");
    CHECK(value_of(*made, "max.in.flight.requests.per.connection") == "5");
    CHECK(value_of(*made, "message.timeout.ms") == "0");
    CHECK(value_of(*made, "partitioner") == "murmur2_random");
    CHECK(value_of(*made, "compression.codec") == "none");
    CHECK(value_of(*made, "linger.ms") == "5");
    CHECK(made->message_max_bytes > (1 << 20));
    CHECK(value_of(*made, "queue.buffering.max.messages") == "40000");
    CHECK(made->queue_max_bytes == 32 << 20);
}

TEST_CASE("the user's properties win over the defaults", "[kafka]") {
    const auto made = sink::kafka::make_settings(
        {"a:1",
         {{"compression.codec", "lz4"}, {"linger.ms", "50"}, {"message.max.bytes", "5000"}},
         false},
        "events", {});
    REQUIRE(made.has_value());
    CHECK(value_of(*made, "linger.ms") == "50");
    CHECK(value_of(*made, "compression.codec") == "lz4");
    CHECK(made->message_max_bytes == 5000);
}

TEST_CASE("a property that librdkafka refuses is named, its value is not", "[kafka]") {
    const auto unknown = refused({{"no.such.property", "hunter2"}});
    CHECK(contains(unknown.text(), "no.such.property"));
    CHECK(contains(unknown.text(), "events"));
    CHECK_FALSE(contains(unknown.text(), "hunter2"));

    const auto wrong = refused({{"linger.ms", "hunter2"}});
    CHECK(contains(wrong.text(), "linger.ms"));
    CHECK_FALSE(contains(wrong.text(), "hunter2"));

    const auto secret = refused({{"security.protocol", "ssl"}, {"ssl.key.pem", "hunter2"}});
    CHECK_FALSE(contains(secret.text(), "hunter2"));

    const auto file =
        refused({{"security.protocol", "ssl"}, {"ssl.ca.location", "/no/such/file.pem"}});
    CHECK(contains(file.text(), "events"));
    CHECK(contains(file.text(), "ssl.ca.location"));
}

}  // namespace walrelay::test
