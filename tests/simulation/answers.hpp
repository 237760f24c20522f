// What a simulated sink answers, in the words of its protocol, and as its adapter understands them.
#pragma once

#include <cstddef>

#include "walrelay/config/model.hpp"
#include "walrelay/engine/outcome.hpp"

namespace walrelay::simulation {

/// Says `meant` as an HTTP status or as a code of Kafka, the `pick`th that means it, and lets the
/// sink's own table read that. Of Retry-After whole seconds are said, and Kafka knows none. What no
/// answer says (a record that the sink itself refuses) stays as it is.
[[nodiscard]] engine::outcome as_read(const config::sink& to, const engine::outcome& meant,
                                      std::size_t pick);

}  // namespace walrelay::simulation
