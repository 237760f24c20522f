// The YAML file to config::model, with all errors at once.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/config/model.hpp"

namespace walrelay::config {

/// One thing that is wrong with the file. Never holds a secret's value.
struct problem {
    position at;
    std::string path;  ///< "sinks.events.kafka.brokers"
    std::string text;  ///< what is wrong, and what is allowed

    /// "relay.yaml:12:5: sinks.events.kafka.brokers: expected …"
    [[nodiscard]] std::string line() const;
};

/// Where ${env:NAME} and ${file:/path} come from; tests put their own in.
struct secret_sources {
    std::function<std::optional<std::string>(std::string_view name)> environment;
    /// The content without one trailing newline; nothing if it can't be read.
    std::function<std::optional<std::string>(const std::string& path)> file;
    /// Others may read the file, or the group of a file that is ours, which gives a warning. May be
    /// empty.
    std::function<bool(const std::string& path)> others_may_read;

    static secret_sources of_process();
};

/// Either a model that is whole, or every problem of the file in the order of its lines.
struct reading {
    std::optional<config::model> model;
    std::vector<problem> problems;
    std::vector<problem>
        warnings;  ///< plain http off loopback, a secret file that others can read…
};

[[nodiscard]] reading read_text(std::string_view yaml, const std::string& file_name,
                                const secret_sources& secrets);
[[nodiscard]] reading read_file(const std::string& path);

}  // namespace walrelay::config
