#include "check_sinks.hpp"

#include <chrono>
#include <exception>
#include <utility>
#include <variant>

#include "judge_sinks.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/sink/inspection.hpp"

namespace walrelay::cli {

namespace {

constexpr std::chrono::milliseconds patience{4'000};

std::vector<finding> inspect(const config::model& model, std::size_t index) {
    const auto& entry = model.sinks[index];
    try {
        if (const auto* kafka = std::get_if<config::kafka_sink>(&entry.kind)) {
            const auto topics = topics_of(model, index);
            const auto found =
                sink::inspect_kafka(*kafka, entry.name, model.limits, topics.constant, patience);
            return judge_kafka(found, model, index);
        }
        if (const auto* http = std::get_if<config::http_sink>(&entry.kind))
            return judge_http(sink::inspect_http(*http, patience), model, index);
    } catch (const std::exception& failure) {
        return {
            {severity::stops, "sink " + printable(entry.name), printable(failure.what(), 300), {}}};
    }
    return {};
}

}  // namespace

sink_inspections::sink_inspections(const config::model& model) {
    for (std::size_t index = 0; index < model.sinks.size(); ++index) {
        auto look = [&model, index] { return inspect(model, index); };
        running_.push_back(std::async(std::launch::async, std::move(look)));
    }
}

std::vector<finding> sink_inspections::take() {
    std::vector<finding> all;
    for (auto& one : running_) {
        for (auto& said : one.get())
            all.push_back(std::move(said));
    }
    running_.clear();
    return all;
}

}  // namespace walrelay::cli
