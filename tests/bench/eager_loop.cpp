// The bare loop that the relay's Kafka drain is measured against: poll, read, produce each row,
// poll. No routes, no order after a failure, no record of progress; it acknowledges once, at the
// end.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <librdkafka/rdkafka.h>

#include "arrivals.hpp"
#include "replication_reader.hpp"

namespace {

using walrelay::bench::row;

struct tally {
    std::uint64_t delivered = 0;
    std::string error;
};

void on_report(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    auto& reports = *static_cast<tally*>(opaque);
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        reports.error = rd_kafka_err2str(message->err);
    } else {
        ++reports.delivered;
    }
}

void set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) !=
        RD_KAFKA_CONF_OK) {
        throw std::runtime_error(error);
    }
}

using producer_handle = std::unique_ptr<rd_kafka_t, void (*)(rd_kafka_t*)>;
using topic_handle = std::unique_ptr<rd_kafka_topic_t, void (*)(rd_kafka_topic_t*)>;

producer_handle make_producer(const std::string& brokers, char** properties, int count,
                              tally& reports) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "acks", "all");
    set(conf, "message.timeout.ms", "0");
    set(conf, "partitioner", "murmur2_random");
    for (int i = 0; i < count; ++i) {
        const std::string property = properties[i];
        const std::size_t equals = property.find('=');
        if (equals == std::string::npos) throw std::runtime_error("not NAME=VALUE: " + property);
        set(conf, property.substr(0, equals), property.substr(equals + 1));
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_opaque(conf, &reports);
    char error[512];
    rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (producer == nullptr) throw std::runtime_error(error);
    return {producer, rd_kafka_destroy};
}

/// The topic, once the broker has answered for it: the clock of a drain starts with everything
/// ready.
topic_handle open_topic(rd_kafka_t* producer, const char* name) {
    topic_handle topic(rd_kafka_topic_new(producer, name, nullptr), rd_kafka_topic_destroy);
    const struct rd_kafka_metadata* metadata = nullptr;
    const auto error = rd_kafka_metadata(producer, 0, topic.get(), &metadata, 10'000);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
    rd_kafka_metadata_destroy(metadata);
    return topic;
}

void produce(rd_kafka_t* producer, rd_kafka_topic_t* topic, const row& taken) {
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                            const_cast<char*>(taken.payload.data()), taken.payload.size(),
                            taken.key.data(), taken.key.size(), nullptr) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            throw std::runtime_error(rd_kafka_err2str(rd_kafka_last_error()));
        }
        rd_kafka_poll(producer, 10);
    }
}

int drain(int argc, char** argv) {
    const std::uint64_t rows = std::strtoull(argv[6], nullptr, 10);
    tally reports;
    const producer_handle producer = make_producer(argv[4], argv + 7, argc - 7, reports);
    const topic_handle topic = open_topic(producer.get(), argv[5]);
    walrelay::bench::replication_reader reader(argv[1]);
    reader.start(argv[2], argv[3]);

    std::uint64_t produced = 0;
    while (reports.delivered < rows && reports.error.empty()) {
        if (produced < rows) {
            reader.read(10, [&](const row& taken) {
                produce(producer.get(), topic.get(), taken);
                ++produced;
            });
            rd_kafka_poll(producer.get(), 0);
        } else {
            rd_kafka_poll(producer.get(), 10);
        }
    }
    const std::int64_t end = walrelay::bench::now_ns();
    if (!reports.error.empty()) throw std::runtime_error(reports.error);
    reader.acknowledge();
    std::cout << end << '\n';
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 7) {
        std::cerr << "usage: bench_eager_loop CONNINFO SLOT PUBLICATION BROKERS TOPIC ROWS "
                     "[NAME=VALUE...]\n"
                     "prints the monotonic time of the last delivery report, in ns\n";
        return 2;
    }
    try {
        return drain(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "bench_eager_loop: " << error.what() << '\n';
        return 1;
    }
}
