// Reads a topic back, with librdkafka's consumer.
#pragma once

#include <librdkafka/rdkafka.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace walrelay::test {

/// A record as a consumer got it.
struct kafka_record {
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::vector<std::pair<std::string, std::optional<std::string>>> headers;

    [[nodiscard]] std::optional<std::string> header(const std::string& name) const {
        for (const auto& [given, value_of] : headers) {
            if (given == name) return value_of;
        }
        return std::nullopt;
    }
};

/// All partitions of a topic from their beginning. Records of one partition come in order.
class kafka_consumer {
public:
    kafka_consumer(const std::string& bootstraps, const std::string& topic,
                   std::int32_t partitions) {
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        set(conf, "bootstrap.servers", bootstraps);
        set(conf, "group.id", "walrelay-test");
        set(conf, "enable.auto.commit", "false");
        set(conf, "auto.offset.reset", "earliest");
        set(conf, "log_level", "0");
        std::array<char, 512> text{};
        consumer_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text.data(), text.size());
        if (!consumer_) {
            rd_kafka_conf_destroy(conf);
            throw std::runtime_error(text.data());
        }
        rd_kafka_poll_set_consumer(consumer_);
        rd_kafka_topic_partition_list_t* all = rd_kafka_topic_partition_list_new(partitions);
        for (std::int32_t i = 0; i < partitions; ++i) {
            rd_kafka_topic_partition_list_add(all, topic.c_str(), i)->offset =
                RD_KAFKA_OFFSET_BEGINNING;
        }
        rd_kafka_assign(consumer_, all);
        rd_kafka_topic_partition_list_destroy(all);
    }

    kafka_consumer(const kafka_consumer&) = delete;
    kafka_consumer& operator=(const kafka_consumer&) = delete;

    ~kafka_consumer() {
        rd_kafka_consumer_close(consumer_);
        rd_kafka_destroy(consumer_);
    }

    /// The next `count` records, or as many as came in time.
    [[nodiscard]] std::vector<kafka_record> read(
        std::size_t count, std::chrono::milliseconds patience = std::chrono::seconds{20}) {
        std::vector<kafka_record> records;
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (records.size() < count && std::chrono::steady_clock::now() < deadline) {
            rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer_, 100);
            if (!message) continue;
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) records.push_back(taken(*message));
            rd_kafka_message_destroy(message);
        }
        return records;
    }

private:
    static void set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
        std::array<char, 512> text{};
        if (rd_kafka_conf_set(conf, name, value.c_str(), text.data(), text.size()) !=
            RD_KAFKA_CONF_OK) {
            throw std::runtime_error(text.data());
        }
    }

    static std::optional<std::string> bytes(const void* data, std::size_t size) {
        if (!data) return std::nullopt;
        return std::string(static_cast<const char*>(data), size);
    }

    static kafka_record taken(const rd_kafka_message_t& message) {
        kafka_record record{message.partition,
                            message.offset,
                            bytes(message.key, message.key_len),
                            bytes(message.payload, message.len),
                            {}};
        rd_kafka_headers_t* headers = nullptr;
        if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
            return record;
        const char* name = nullptr;
        const void* value = nullptr;
        std::size_t size = 0;
        for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
                                RD_KAFKA_RESP_ERR_NO_ERROR;
             ++i) {
            record.headers.emplace_back(name, bytes(value, size));
        }
        return record;
    }

    rd_kafka_t* consumer_ = nullptr;
};

}  // namespace walrelay::test
