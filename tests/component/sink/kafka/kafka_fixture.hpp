// A mock Kafka cluster inside the test, and a sink that sends to it.
#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sink/kafka/make.hpp"
#include "support/catch.hpp"

namespace walrelay::test {

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// A mock broker appends whatever sequence number comes. With more than one request in flight a
/// batch behind a refused one is written, and librdkafka then takes the refused one for written
/// too; a real broker refuses both.
inline const std::pair<const std::string, std::string> one_request_at_a_time{
    "max.in.flight.requests.per.connection", "1"};

/// Fifty records a request and no waiting for more; several requests in flight if `pipelined`.
inline std::map<std::string, std::string> small_batches(bool pipelined) {
    std::map<std::string, std::string> with{{"batch.num.messages", "50"}, {"linger.ms", "0"}};
    if (!pipelined) with.insert(one_request_at_a_time);
    return with;
}

/// Number of the request in the Kafka protocol.
inline constexpr std::int16_t produce_request = 0;

class mock_cluster {
public:
    explicit mock_cluster(int brokers = 1) {
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        std::array<char, 512> text{};
        rd_kafka_conf_set(conf, "log_level", "0", text.data(), text.size());
        host_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text.data(), text.size());
        if (!host_) throw std::runtime_error(text.data());
        cluster_ = rd_kafka_mock_cluster_new(host_, brokers);
    }

    mock_cluster(const mock_cluster&) = delete;
    mock_cluster& operator=(const mock_cluster&) = delete;

    ~mock_cluster() {
        rd_kafka_mock_cluster_destroy(cluster_);
        rd_kafka_destroy(host_);
    }

    [[nodiscard]] rd_kafka_mock_cluster_t* get() const { return cluster_; }

    [[nodiscard]] std::string bootstraps() const {
        return rd_kafka_mock_cluster_bootstraps(cluster_);
    }

    void create_topic(const std::string& name, int partitions) {
        rd_kafka_mock_topic_create(cluster_, name.c_str(), partitions, 1);
    }

    /// The next `times` produce requests are answered with `code`.
    void refuse_produce(rd_kafka_resp_err_t code, std::size_t times) {
        const std::vector<rd_kafka_resp_err_t> codes(times, code);
        rd_kafka_mock_push_request_errors_array(cluster_, produce_request, times, codes.data());
    }

    void set_topic_error(const std::string& name, rd_kafka_resp_err_t code) {
        rd_kafka_mock_topic_set_error(cluster_, name.c_str(), code);
    }

    void broker_down() { rd_kafka_mock_broker_set_down(cluster_, 1); }

    void broker_up() { rd_kafka_mock_broker_set_up(cluster_, 1); }

    /// The broker answers that much later.
    void slow_down(std::chrono::milliseconds by) {
        rd_kafka_mock_broker_set_rtt(cluster_, 1, static_cast<int>(by.count()));
    }

private:
    rd_kafka_t* host_ = nullptr;
    rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

/// Remembers all that it is told.
class memory_listener : public sink::listener {
public:
    void on_outcome(std::size_t sink, engine::attempt_token token,
                    engine::outcome&& outcome) override {
        CHECK(sink == 7);
        outcomes[token.packed()].push_back(std::move(outcome));
        order.push_back(token.slot);
        ++told;
        ++in_turn;
        largest_turn = std::max(largest_turn, in_turn);
    }

    void settled(std::size_t sink) override {
        CHECK(sink == 7);
        ++settles;
        in_turn = 0;
    }

    void on_notice(std::size_t sink, std::string notice) override {
        CHECK(sink == 7);
        notices.push_back(std::move(notice));
    }

    [[nodiscard]] std::size_t count(engine::outcome_class what) const {
        std::size_t found = 0;
        for (const auto& [token, each] : outcomes) {
            for (const engine::outcome& outcome : each)
                found += outcome.what == what ? 1 : 0;
        }
        return found;
    }

    /// True if nobody heard of an attempt twice.
    [[nodiscard]] bool each_once() const { return outcomes.size() == told; }

    std::map<std::uint64_t, std::vector<engine::outcome>> outcomes;
    std::vector<std::uint32_t> order;  ///< the slots, as they were told
    std::size_t told = 0;
    std::size_t settles = 0;
    std::size_t in_turn = 0;
    std::size_t largest_turn = 0;
    std::vector<std::string> notices;
};

class kafka_fixture {
public:
    using clock = std::chrono::steady_clock;

    explicit kafka_fixture(std::string brokers, std::map<std::string, std::string> properties = {},
                           bool metadata = false, const config::limits& limits = {}) {
        const config::kafka_sink entry{std::move(brokers), std::move(properties), metadata};
        auto made = sink::make_kafka(loop, entry, "events", 7, limits, heard);
        if (!made) throw error_exception(made.error());
        out = std::move(*made);
    }

    /// Runs the loop until `condition` holds; false if it doesn't in time.
    template <class Condition>
    bool run_until(Condition condition,
                   std::chrono::milliseconds patience = std::chrono::seconds{20}) {
        const auto deadline = clock::now() + patience;
        while (!condition()) {
            if (clock::now() >= deadline) return false;
            loop.restart();
            loop.run_one_for(std::chrono::milliseconds{20});
        }
        return true;
    }

    bool all_told() {
        return run_until([this] { return out->in_flight() == 0 && heard.told >= accepted; });
    }

    /// A record whose body lies in the test, for `topic`.
    static event::record record(std::string_view topic, std::optional<std::string_view> key,
                                std::optional<std::string_view> body) {
        event::record made;
        made.id = "0192d3c1-0000-7000-8000-000000000001";
        made.key = key;
        made.destination = topic;
        made.body = body;
        made.body_in_frame = true;
        made.content_type = "application/json";
        made.table = "walrelay.outbox";
        return made;
    }

    /// Sends under the next token; waits for room.
    sink::admission send(const event::record& record) {
        const engine::attempt_token token{next_slot++, 1};
        for (;;) {
            const auto answer = out->send(token, 1, record, refusal);
            if (answer == sink::admission::pending) ++accepted;
            if (answer != sink::admission::full) return answer;
            const std::size_t before = heard.settles;
            REQUIRE(run_until([&] { return heard.settles > before; }));
        }
    }

    /// The only outcome of the attempt that was the `index`th to be sent, from 0.
    const engine::outcome& outcome(std::uint32_t index) const {
        const auto& told = heard.outcomes.at(engine::attempt_token{index, 1}.packed());
        REQUIRE(told.size() == 1);
        return told.front();
    }

    boost::asio::io_context loop;
    memory_listener heard;
    std::unique_ptr<sink::sink> out;
    engine::outcome refusal;
    std::uint32_t next_slot = 0;
    std::size_t accepted = 0;
};

}  // namespace walrelay::test
