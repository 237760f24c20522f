// When each record reaches a consumer.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>

#include <librdkafka/rdkafka.h>

#include "arrivals.hpp"

namespace {

void set(rd_kafka_conf_t* conf, const char* name, const char* value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        throw std::runtime_error(error);
    }
}

using consumer_handle = std::unique_ptr<rd_kafka_t, void (*)(rd_kafka_t*)>;

consumer_handle make_consumer(const char* brokers) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "group.id", "bench");
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "earliest");
    char error[512];
    rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    if (consumer == nullptr) throw std::runtime_error(error);
    rd_kafka_poll_set_consumer(consumer);
    return {consumer, rd_kafka_destroy};
}

void assign(rd_kafka_t* consumer, const char* topic, int partitions) {
    const std::unique_ptr<rd_kafka_topic_partition_list_t,
                          void (*)(rd_kafka_topic_partition_list_t*)>
        list(rd_kafka_topic_partition_list_new(partitions), rd_kafka_topic_partition_list_destroy);
    for (int partition = 0; partition < partitions; ++partition) {
        rd_kafka_topic_partition_list_add(list.get(), topic, partition)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    const auto error = rd_kafka_assign(consumer, list.get());
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
}

void consume(char** argv) {
    walrelay::bench::catch_stop_signals();
    walrelay::bench::arrivals noted;
    const consumer_handle consumer = make_consumer(argv[1]);
    assign(consumer.get(), argv[2], std::atoi(argv[3]));
    while (!walrelay::bench::stop_requested()) {
        const std::unique_ptr<rd_kafka_message_t, void (*)(rd_kafka_message_t*)> message(
            rd_kafka_consumer_poll(consumer.get(), 100), rd_kafka_message_destroy);
        if (!message) continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            noted.note({static_cast<const char*>(message->key), message->key_len});
        } else {
            std::cerr << "bench_kafka_reader: " << rd_kafka_message_errstr(message.get()) << '\n';
        }
    }
    noted.write(argv[4]);
    rd_kafka_consumer_close(consumer.get());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::cerr << "usage: bench_kafka_reader BROKERS TOPIC PARTITIONS FILE\n"
                     "notes key and time of each record until SIGTERM\n";
        return 2;
    }
    try {
        consume(argv);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "bench_kafka_reader: " << error.what() << '\n';
        return 1;
    }
}
