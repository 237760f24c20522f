// The properties of a producer.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "handles.hpp"
#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"

namespace walrelay::sink::kafka {

/// A configuration to make producers of, and the values in it that the sink works by.
struct settings {
    conf_ptr conf;
    std::size_t message_max_bytes = 0;
    std::size_t queue_max_bytes = 0;
    std::size_t batch_bytes = 0;
    std::chrono::microseconds linger{};
};

/// Our defaults, then the user's properties over them. The ones that would break delivery or order
/// have been refused by the reader of the sink map. An error names the property; never its value,
/// which may be a secret.
[[nodiscard]] result<settings> make_settings(const config::kafka_sink& entry,
                                             const std::string& name, const config::limits& limits);

}  // namespace walrelay::sink::kafka
