// The sink that counts and forgets.
#pragma once

#include "walrelay/sink/sink.hpp"

namespace walrelay::sink {

/// Delivers at once, to nowhere: for measuring everything before the sinks.
class discard_sink final : public sink {
public:
    [[nodiscard]] ordering order() const noexcept override { return ordering::pipelined; }

    admission send(engine::attempt_token token, std::uint32_t attempt, const event::record& record,
                   engine::outcome& refusal) override;

    void purge() override {}

    [[nodiscard]] std::size_t in_flight() const noexcept override { return 0; }
};

}  // namespace walrelay::sink
