#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include "error_class.hpp"
#include "handles.hpp"
#include "settings.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/sink/inspection.hpp"

namespace walrelay::sink {

namespace {

using namespace kafka;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

using metadata_ptr =
    std::unique_ptr<const rd_kafka_metadata_t, freed_by<rd_kafka_metadata_destroy>>;
using admin_options_ptr =
    std::unique_ptr<rd_kafka_AdminOptions_t, freed_by<rd_kafka_AdminOptions_destroy>>;

constexpr std::size_t most_faults = 8;
constexpr std::size_t longest_fault = 300;

std::optional<std::uint64_t> number(const char* text) {
    if (text == nullptr) return std::nullopt;
    const std::string_view digits(text);
    std::uint64_t value = 0;
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (failure != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

std::optional<bool> truth(const char* text) {
    if (text == nullptr) return std::nullopt;
    return std::string_view(text) == "true";
}

/// Whether it logs in by SCRAM as librdkafka did before 2.6.1, with its nonce in it twice: Kafka 4
/// takes that for a wrong password.
bool has_outdated_scram(const rd_kafka_conf_t& conf) {
    constexpr int mended = 0x020601ff;
    std::array<char, 64> mechanism{};
    std::size_t size = mechanism.size();
    return rd_kafka_version() < mended &&
           rd_kafka_conf_get(&conf, "sasl.mechanisms", mechanism.data(), &size) ==
               RD_KAFKA_CONF_OK &&
           std::string_view(mechanism.data()).starts_with("SCRAM");
}

/// A handle for questions: a consumer, because what a producer asks creates topics where the broker
/// is set to make them.
class inspector {
public:
    inspector(producer_ptr handle, milliseconds patience)
        : handle_(std::move(handle)), ends_(steady_clock::now() + patience) {
        rd_kafka_set_log_queue(handle_.get(), nullptr);
        main_.reset(rd_kafka_queue_get_main(handle_.get()));
        answers_.reset(rd_kafka_queue_new(handle_.get()));
    }

    /// The brokers, and a fault for each connection that was refused meanwhile.
    void ask_brokers(kafka_facts& found) {
        // In growing slices, so that a refusal which does not pass is seen soon.
        milliseconds slice{300};
        while (!found.answered && left() > milliseconds{0} && !refused_) {
            const metadata_ptr answer = metadata(nullptr, std::min(left(), slice));
            slice *= 2;
            collect_faults(found);
            if (!answer) continue;
            found.answered = true;
            found.brokers = answer->broker_cnt;
            if (answer->broker_cnt > 0) broker_id_ = std::to_string(answer->brokers[0].id);
        }
        if (found.answered) found.faults.clear();  // one of several did: the sink would find it too
    }

    void ask_topic(topic_facts& found) {
        const topic_ptr topic(rd_kafka_topic_new(handle_.get(), found.name.c_str(), nullptr));
        if (!topic) {
            found.fault = rd_kafka_err2str(rd_kafka_last_error());
            return;
        }
        const metadata_ptr answer = metadata(topic.get(), std::max(left(), milliseconds{300}));
        if (!answer || answer->topic_cnt < 1) {
            found.fault = rd_kafka_err2str(last_error_);
            return;
        }
        take(answer->topics[0], found);
    }

    /// The topics' and one broker's configuration.
    void ask_configs(kafka_facts& found) {
        std::vector<config_resource_ptr> asked;
        for (const auto& topic : found.topics) {
            if (topic.what != topic_facts::state::there) continue;
            asked.emplace_back(
                rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.name.c_str()));
        }
        // One question each: a broker answers for itself only, and a refusal must not hide the
        // topics.
        if (!asked.empty()) describe(asked, found);
        if (broker_id_.empty()) return;
        asked.clear();
        asked.emplace_back(
            rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, broker_id_.c_str()));
        describe(asked, found);
    }

private:
    [[nodiscard]] milliseconds left() const {
        return std::chrono::duration_cast<milliseconds>(ends_ - steady_clock::now());
    }

    metadata_ptr metadata(rd_kafka_topic_t* topic, milliseconds wait) {
        const rd_kafka_metadata_t* answer = nullptr;
        last_error_ =
            rd_kafka_metadata(handle_.get(), 0, topic, &answer, static_cast<int>(wait.count()));
        return metadata_ptr(last_error_ == RD_KAFKA_RESP_ERR_NO_ERROR ? answer : nullptr);
    }

    void collect_faults(kafka_facts& found) {
        while (const event_ptr event{rd_kafka_queue_poll(main_.get(), 0)}) {
            if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_ERROR) continue;
            const auto code = rd_kafka_event_error(event.get());
            if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
                continue;  // says no more than the rest
            auto text = broker_text(rd_kafka_event_error_string(event.get()), longest_fault);
            // A client's certificate is refused when the handshake is over here: that comes as a
            // connection which broke.
            refused_ = refused_ || code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
                       code == RD_KAFKA_RESP_ERR__SSL ||
                       text.find("SSL alert number") != std::string::npos;
            const auto known = std::find(found.faults.begin(), found.faults.end(), text);
            if (known == found.faults.end() && found.faults.size() < most_faults)
                found.faults.push_back(std::move(text));
        }
    }

    static void take(const rd_kafka_metadata_topic_t& answer, topic_facts& found) {
        using state = topic_facts::state;
        if (answer.err != RD_KAFKA_RESP_ERR_NO_ERROR) found.fault = rd_kafka_err2str(answer.err);
        switch (static_cast<int>(answer.err)) {
            case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
            case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
                found.what = state::missing;
                return;
            case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
                found.what = state::forbidden;
                return;
            case RD_KAFKA_RESP_ERR_NO_ERROR:
            case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
                found.what = state::there;
                break;
            default:
                return;
        }
        found.fault.clear();
        found.partitions = answer.partition_cnt;
        for (int i = 0; i < answer.partition_cnt; ++i) {
            const auto& one = answer.partitions[i];
            if (one.leader < 0) ++found.without_leader;
            found.fewest_replicas =
                i == 0 ? one.replica_cnt : std::min(found.fewest_replicas, one.replica_cnt);
            found.fewest_in_sync =
                i == 0 ? one.isr_cnt : std::min(found.fewest_in_sync, one.isr_cnt);
        }
    }

    void describe(const std::vector<config_resource_ptr>& asked, kafka_facts& found) {
        const milliseconds wait = std::max(left(), milliseconds{500});
        const admin_options_ptr options(
            rd_kafka_AdminOptions_new(handle_.get(), RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS));
        rd_kafka_AdminOptions_set_request_timeout(options.get(), static_cast<int>(wait.count()),
                                                  nullptr, 0);
        std::vector<rd_kafka_ConfigResource_t*> resources;
        for (const auto& one : asked)
            resources.push_back(one.get());
        rd_kafka_DescribeConfigs(handle_.get(), resources.data(), resources.size(), options.get(),
                                 answers_.get());
        const event_ptr event(
            rd_kafka_queue_poll(answers_.get(), static_cast<int>(wait.count()) + 500));
        const auto* answer = event ? rd_kafka_event_DescribeConfigs_result(event.get()) : nullptr;
        std::size_t count = 0;
        const rd_kafka_ConfigResource_t** told =
            answer == nullptr ? nullptr : rd_kafka_DescribeConfigs_result_resources(answer, &count);
        if (count == 0) {
            const char* why =
                event ? rd_kafka_event_error_string(event.get()) : "no answer in time";
            for (auto& topic : found.topics)
                if (topic.what == topic_facts::state::there && !topic.max_message_bytes)
                    topic.config_fault = printable(why, longest_fault);
            return;
        }
        for (std::size_t i = 0; i < count; ++i)
            take_config(*told[i], found);
    }

    static void take_config(const rd_kafka_ConfigResource_t& told, kafka_facts& found) {
        const bool of_topic = rd_kafka_ConfigResource_type(&told) == RD_KAFKA_RESOURCE_TOPIC;
        const std::string_view name = rd_kafka_ConfigResource_name(&told);
        const auto topic =
            std::find_if(found.topics.begin(), found.topics.end(),
                         [&](const topic_facts& one) { return of_topic && one.name == name; });
        if (of_topic && topic == found.topics.end()) return;
        if (rd_kafka_ConfigResource_error(&told) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            const char* why = rd_kafka_ConfigResource_error_string(&told);
            if (of_topic) topic->config_fault = printable(why == nullptr ? "" : why, longest_fault);
            return;
        }
        std::size_t count = 0;
        const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(&told, &count);
        for (std::size_t i = 0; i < count; ++i) {
            const std::string_view option = rd_kafka_ConfigEntry_name(entries[i]);
            const char* value = rd_kafka_ConfigEntry_value(entries[i]);
            if (!of_topic) {
                if (option == "auto.create.topics.enable") found.auto_create_topics = truth(value);
            } else if (option == "max.message.bytes") {
                topic->max_message_bytes = number(value);
            } else if (option == "min.insync.replicas") {
                if (const auto replicas = number(value))
                    topic->min_insync_replicas = static_cast<int>(*replicas);
            } else if (option == "unclean.leader.election.enable") {
                topic->unclean_leader_election = truth(value);
            } else if (option == "cleanup.policy" && value != nullptr) {
                topic->compacted =
                    std::string_view(value).find("compact") != std::string_view::npos;
            }
        }
    }

    producer_ptr handle_;
    queue_ptr main_;
    queue_ptr answers_;
    steady_clock::time_point ends_;
    std::string broker_id_;
    rd_kafka_resp_err_t last_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
    bool refused_ = false;  ///< by TLS or SASL: trying again changes nothing
};

}  // namespace

kafka_facts inspect_kafka(const config::kafka_sink& entry, const std::string& name,
                          const config::limits& limits, const std::vector<std::string>& topics,
                          milliseconds patience) {
    kafka_facts found;
    auto made = make_settings(entry, name, limits);
    if (made.has_error()) {
        found.settings_fault = printable(made.error().text(), longest_fault);
        return found;
    }
    found.message_max_bytes = made->message_max_bytes;
    found.outdated_scram = has_outdated_scram(*made->conf);
    std::string text(512, '\0');
    // What contradicts itself as a producer is found by making one; it connects to nothing yet.
    {
        conf_ptr copy(rd_kafka_conf_dup(made->conf.get()));
        const producer_ptr producer(
            rd_kafka_new(RD_KAFKA_PRODUCER, copy.get(), text.data(), text.size()));
        if (!producer) {
            found.settings_fault = printable(text.c_str(), longest_fault);
            return found;
        }
        static_cast<void>(copy.release());
    }
    producer_ptr handle(
        rd_kafka_new(RD_KAFKA_CONSUMER, made->conf.get(), text.data(), text.size()));
    if (!handle) {
        found.settings_fault = printable(text.c_str(), longest_fault);
        return found;
    }
    static_cast<void>(made->conf.release());
    inspector asks(std::move(handle), patience);
    asks.ask_brokers(found);
    if (!found.answered) return found;
    for (const auto& topic : topics) {
        found.topics.push_back({});
        found.topics.back().name = topic;
        asks.ask_topic(found.topics.back());
    }
    asks.ask_configs(found);
    return found;
}

}  // namespace walrelay::sink
