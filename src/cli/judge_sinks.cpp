#include "judge_sinks.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>

#include "judge.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/core/template_syntax.hpp"
#include "walrelay/event/router.hpp"

namespace walrelay::cli {

namespace {

using sink::http_facts;
using sink::kafka_facts;
using sink::topic_facts;

constexpr std::chrono::hours soon{14 * 24};

void add_once(std::vector<std::string>& list, std::string text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(std::move(text));
}

/// In single quotes for a shell: names and addresses come from a file.
std::string shell_quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'')
            out += "'\\''";
        else
            out += c;
    }
    return out + "'";
}

/// The findings of one Kafka sink.
class kafka_judge {
public:
    kafka_judge(const kafka_facts& found, const config::model& model, std::size_t sink)
        : found_{found},
          limits_{model.limits},
          name_{model.sinks[sink].name},
          brokers_{std::get<config::kafka_sink>(model.sinks[sink].kind).brokers},
          topics_{topics_of(model, sink)} {}

    std::vector<finding> judge() {
        const auto subject = "sink " + printable(name_);
        if (!found_.settings_fault.empty()) {
            out_.push_back(
                {severity::stops, subject, found_.settings_fault, {option("properties")}});
            return std::move(out_);
        }
        if (!found_.answered) {
            judge_silence(subject);
            return std::move(out_);
        }
        out_.push_back({severity::ok,
                        subject,
                        std::to_string(found_.brokers) +
                            (found_.brokers == 1 ? " broker answers" : " brokers answer"),
                        {}});
        judge_own_limit(subject);
        for (const auto& topic : found_.topics)
            judge_topic(topic);
        judge_templates(subject);
        return std::move(out_);
    }

private:
    [[nodiscard]] std::string option(const std::string& what) const {
        return "sinks." + printable(name_) + ".kafka." + what;
    }

    [[nodiscard]] std::string set_topic(const topic_facts& topic, const std::string& what) const {
        return "kafka-configs.sh --bootstrap-server " + shell_quoted(brokers_) +
               " --alter --entity-type topics --entity-name " + shell_quoted(topic.name) +
               " --add-config " + what;
    }

    void judge_silence(const std::string& subject) {
        finding one{
            severity::stops, subject, "no broker of " + printable(brokers_) + " answers", {}};
        for (const auto& fault : found_.faults)
            one.text += (&fault == &found_.faults.front() ? ": " : "; ") + fault;
        const auto told = [&](const char* word) {
            return one.text.find(word) != std::string::npos;
        };
        if (told("SASL") || told("uthentication")) {
            one.mends.push_back(option("properties") +
                                ": sasl.mechanism, sasl.username, sasl.password");
            if (found_.outdated_scram) {
                one.mends.emplace_back(
                    "with brokers of Kafka 4 and later: librdkafka 2.6.1, or another sasl.mechanism"
                    " than SCRAM: they refuse that of older versions whatever the password");
            }
        } else if (told("SSL alert")) {
            one.mends.push_back(option("properties") +
                                ": ssl.certificate.location and ssl.key.location, of a certificate "
                                "whose authority the brokers trust");
        } else if (told("SSL") || told("certificate")) {
            one.mends.push_back(option("properties") +
                                ": security.protocol and ssl.ca.location as the brokers want them");
        } else {
            one.mends.push_back(option("brokers") +
                                ": host:port of brokers that this host reaches");
        }
        out_.push_back(std::move(one));
    }

    /// A row as large as we let in must fit into a record.
    void judge_own_limit(const std::string& subject) {
        if (found_.message_max_bytes == 0 || found_.message_max_bytes >= limits_.event_bytes)
            return;
        out_.push_back(
            {severity::warns,
             subject,
             "takes records of at most " + readable_bytes(found_.message_max_bytes) +
                 " (message.max.bytes), and limits.event_bytes lets in " +
                 readable_bytes(limits_.event_bytes) + ": a larger one is an event error",
             {option("properties.message.max.bytes: ") + std::to_string(limits_.event_bytes)}});
    }

    void judge_topic(const topic_facts& topic) {
        const auto subject = "topic " + printable(topic.name);
        if (topic.what != topic_facts::state::there) return judge_absence(topic, subject);
        const auto before = out_.size();
        if (topic.without_leader > 0) {
            out_.push_back({severity::stops,
                            subject,
                            std::to_string(topic.without_leader) + " of " +
                                std::to_string(topic.partitions) +
                                " partitions have no leader: their keys wait",
                            {"start the brokers that hold them (kafka-topics.sh --describe "
                             "--unavailable-partitions)"}});
        }
        judge_replicas(topic, subject);
        judge_size(topic, subject);
        if (topic.unclean_leader_election.value_or(false)) {
            out_.push_back({severity::warns,
                            subject,
                            "unclean.leader.election.enable is on: a replica that missed "
                            "acknowledged records may become leader, and they are gone",
                            {set_topic(topic, "unclean.leader.election.enable=false")}});
        }
        if (topic.compacted) {
            out_.push_back({severity::info,
                            subject,
                            "is compacted: brokers refuse records without a key",
                            {}});
        }
        if (!topic.config_fault.empty()) {
            out_.push_back({severity::info,
                            subject,
                            "its limits can't be read: " + topic.config_fault,
                            {"the right DescribeConfigs on the topic"}});
        }
        if (out_.size() == before) out_.push_back({severity::ok, subject, summary(topic), {}});
    }

    [[nodiscard]] std::string summary(const topic_facts& topic) const {
        const auto [bytes, which] = smallest_limit(topic);
        return std::to_string(topic.partitions) +
               (topic.partitions == 1 ? " partition" : " partitions") + ", takes up to " +
               readable_bytes(bytes) + " a record (" + which + ")";
    }

    [[nodiscard]] std::pair<std::uint64_t, std::string> smallest_limit(
        const topic_facts& topic) const {
        std::pair<std::uint64_t, std::string> smallest{limits_.event_bytes, "limits.event_bytes"};
        if (found_.message_max_bytes > 0 && found_.message_max_bytes < smallest.first)
            smallest = {found_.message_max_bytes, "message.max.bytes of the sink"};
        if (topic.max_message_bytes.value_or(smallest.first) < smallest.first)
            smallest = {*topic.max_message_bytes, "max.message.bytes of the topic"};
        return smallest;
    }

    void judge_size(const topic_facts& topic, const std::string& subject) {
        const auto [bytes, which] = smallest_limit(topic);
        if (!topic.max_message_bytes || bytes != *topic.max_message_bytes ||
            bytes >= limits_.event_bytes) {
            return;
        }
        out_.push_back(
            {severity::warns,
             subject,
             "takes at most " + readable_bytes(bytes) + " a record (" + which +
                 "), and limits.event_bytes lets in " + readable_bytes(limits_.event_bytes) +
                 ": a larger one is an event error",
             {set_topic(topic,
                        "max.message.bytes=" + std::to_string(std::max(limits_.event_bytes,
                                                                       found_.message_max_bytes))),
              "or limits.event_bytes: " + std::to_string(bytes / 1024) + "KiB"}});
    }

    void judge_replicas(const topic_facts& topic, const std::string& subject) {
        const int has = topic.fewest_replicas;
        const int needed = topic.min_insync_replicas.value_or(1);
        const auto fewer = set_topic(
            topic, "min.insync.replicas=" + std::to_string(std::max(1, std::min(2, has - 1))));
        const auto numbers = "min.insync.replicas is " + std::to_string(needed) + " of " +
                             std::to_string(has) + (has == 1 ? " replica" : " replicas");
        if (needed > has) {
            out_.push_back({severity::stops,
                            subject,
                            numbers + ": no record can ever be acknowledged (acks=all)",
                            {fewer, "or more replicas: kafka-reassign-partitions.sh"}});
        } else if (topic.fewest_in_sync < needed) {
            out_.push_back({severity::stops,
                            subject,
                            numbers + ", and only " + std::to_string(topic.fewest_in_sync) +
                                " in sync: nothing is acknowledged until more are",
                            {"start the brokers that are away"}});
        } else if (has == 1) {
            out_.push_back(
                {found_.brokers > 1 ? severity::warns : severity::info,
                 subject,
                 "has one replica: one broker down stops it, one disk lost loses its records",
                 {"three replicas: kafka-reassign-partitions.sh"}});
        } else if (needed == has) {
            out_.push_back({severity::warns,
                            subject,
                            numbers + ": one broker down stops it",
                            {fewer, "or more replicas: kafka-reassign-partitions.sh"}});
        } else if (needed == 1 && topic.min_insync_replicas) {
            out_.push_back({severity::warns,
                            subject,
                            numbers + ": what one disk holds counts as delivered",
                            {set_topic(topic, "min.insync.replicas=2")}});
        }
    }

    void judge_absence(const topic_facts& topic, const std::string& subject) {
        const auto replicas = std::to_string(std::clamp(found_.brokers, 1, 3));
        const auto create = "kafka-topics.sh --bootstrap-server " + shell_quoted(brokers_) +
                            " --create --topic " + shell_quoted(topic.name) +
                            " --partitions 12 --replication-factor " + replicas;
        switch (topic.what) {
            case topic_facts::state::missing:
                if (found_.auto_create_topics.value_or(false)) {
                    out_.push_back({severity::warns,
                                    subject,
                                    "does not exist: the first record makes it, with the brokers' "
                                    "defaults for partitions and replicas",
                                    {create}});
                } else {
                    out_.push_back({found_.auto_create_topics ? severity::stops : severity::warns,
                                    subject,
                                    std::string{"does not exist"} +
                                        (found_.auto_create_topics
                                             ? ", and the brokers make none: what goes there waits"
                                             : "; whether the brokers make topics can't be read"),
                                    {create}});
                }
                return;
            case topic_facts::state::forbidden:
                out_.push_back({severity::stops,
                                subject,
                                "the sink has no right to it",
                                {"kafka-acls.sh --bootstrap-server " + shell_quoted(brokers_) +
                                 " --add --producer --topic " + shell_quoted(topic.name) +
                                 " --allow-principal 'User:<the sink's>'"}});
                return;
            case topic_facts::state::there:
            case topic_facts::state::other:
                out_.push_back({severity::warns,
                                subject,
                                "can't be looked at: " + topic.fault,
                                {"the right Describe on the topic, and brokers that are well"}});
        }
    }

    void judge_templates(const std::string& subject) {
        if (topics_.templates.empty()) return;
        std::string list;
        for (const auto& one : topics_.templates)
            list += (list.empty() ? "" : ", ") + printable(one);
        const bool made = found_.auto_create_topics.value_or(false);
        out_.push_back({severity::info,
                        subject,
                        "topics " + list + " come from rows, and can't be looked at before; " +
                            (made ? "one that does not exist is made by the brokers"
                                  : "one that does not exist stalls until somebody makes it"),
                        {}});
    }

    const kafka_facts& found_;
    const config::limits& limits_;
    const std::string& name_;
    const std::string& brokers_;
    topic_list topics_;
    std::vector<finding> out_;
};

void judge_certificate(const std::optional<std::chrono::seconds>& left, const std::string& whose,
                       const std::string& mend, const std::string& subject,
                       std::vector<finding>& out) {
    if (!left || *left > soon) return;
    const auto days = std::chrono::duration_cast<std::chrono::hours>(*left).count() / 24;
    const bool over = *left < std::chrono::seconds{0};
    out.push_back(
        {over ? severity::stops : severity::warns,
         subject,
         whose + (over ? " has expired"
                       : " expires in " + std::to_string(days) + (days == 1 ? " day" : " days")),
         {mend}});
}

finding broken_endpoint(const http_facts& found, const std::string& name) {
    const auto option = "sinks." + name + ".http.";
    finding one{severity::stops, "sink " + name, "", {}};
    switch (found.failed_at) {
        case http_facts::step::settings:
            one.text = found.fault;
            one.mends = {option + (found.endpoint.empty() ? "url" : "tls")};
            break;
        case http_facts::step::resolve:
            one.text = "the name of " + found.endpoint + " can't be resolved: " + found.fault;
            one.mends = {option + "url: a host that this machine's name server knows"};
            break;
        case http_facts::step::connect:
            one.text = found.endpoint + " can't be reached: " + found.fault;
            one.mends = {"start the endpoint, or correct " + option + "url"};
            break;
        case http_facts::step::handshake:
        case http_facts::step::done:
            one.text = "TLS with " + found.endpoint + " fails: " + found.fault;
            if (found.refused == http_facts::certificate_fault::none) {
                one.mends = {option +
                             "tls: what the endpoint asks for (a client certificate: cert "
                             "and key), or an https port in url"};
            } else if (found.refused == http_facts::certificate_fault::unknown_authority) {
                one.mends = {option +
                             "tls.ca: the PEM file of the authority that signed the "
                             "certificate"};
            } else if (found.refused == http_facts::certificate_fault::other_name) {
                one.mends = {option + "url: a name that stands in the certificate"};
            } else {
                one.mends = {"a new certificate on " + found.endpoint};
            }
            break;
    }
    return one;
}

}  // namespace

topic_list topics_of(const config::model& model, std::size_t sink) {
    topic_list list;
    for (const auto& route : model.routes) {
        if (std::find(route.to.begin(), route.to.end(), sink) == route.to.end()) continue;
        const auto written = event::topic_template(route);
        if (written.empty()) continue;
        const auto parts = parse_template(written);
        if (auto text = parts ? constant_text(*parts) : std::nullopt) {
            add_once(list.constant, std::move(*text));
        } else {
            add_once(list.templates, written);
        }
    }
    return list;
}

std::vector<finding> judge_kafka(const kafka_facts& found, const config::model& model,
                                 std::size_t sink) {
    return kafka_judge{found, model, sink}.judge();
}

std::vector<finding> judge_http(const http_facts& found, const config::model& model,
                                std::size_t sink) {
    std::vector<finding> out;
    const auto name = printable(model.sinks[sink].name);
    const auto subject = "sink " + name;
    judge_certificate(found.own_certificate_left, "tls.cert",
                      "sinks." + name + ".http.tls: a new cert and key", subject, out);
    if (found.failed_at != http_facts::step::done) {
        out.push_back(broken_endpoint(found, name));
        return out;
    }
    judge_certificate(found.server_certificate_left, "the certificate of " + found.endpoint,
                      "a new certificate on " + found.endpoint, subject, out);
    if (out.empty()) {
        out.push_back({severity::ok,
                       subject,
                       found.endpoint +
                           (found.tls ? " answers, and its certificate is accepted" : " answers"),
                       {}});
    }
    return out;
}

}  // namespace walrelay::cli
