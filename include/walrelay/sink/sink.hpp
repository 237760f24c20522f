// What every destination of events looks like to the relay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "walrelay/engine/outcome.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::sink {

/// How a sink keeps the order of a key.
enum class ordering : std::uint8_t {
    pipelined,  ///< many records of a key may be in flight: the destination keeps their order
                ///< (Kafka)
    serial,     ///< the next record of a key is sent when the last is resolved (HTTP)
};

/// What became of a record that was handed over.
enum class admission : std::uint8_t {
    pending,    ///< the listener will hear the outcome, once, and never from inside send()
    delivered,  ///< done already; the listener hears nothing
    full,       ///< not taken: try again after the next listener::settled()
    refused,    ///< can't be sent: `refusal` says why; the listener hears nothing
};

/// Told on the loop's thread, never from inside a call to the sink.
class listener {
public:
    virtual ~listener() = default;
    virtual void on_outcome(std::size_t sink, engine::attempt_token token,
                            engine::outcome&& outcome) = 0;

    /// The same for several, all of them delivered.
    virtual void on_delivered(std::size_t sink, std::span<const engine::attempt_token> tokens) {
        for (const engine::attempt_token token : tokens)
            on_outcome(sink, token, {.what = engine::outcome_class::delivered});
    }

    /// After a group of outcomes, and whenever a sink that was full may have room again.
    virtual void settled(std::size_t sink) = 0;
    /// Something that concerns the sink as a whole, for the log and readiness: "all brokers are
    /// down". An empty text means that it is over.
    virtual void on_notice(std::size_t sink, std::string notice) = 0;
};

/// One destination. Lives on one io_context, is used from its thread only, never blocks it.
class sink {
public:
    virtual ~sink() = default;

    [[nodiscard]] virtual ordering order() const noexcept = 0;

    /// False: send() would answer `full`; the listener's settled() says when to ask again. True may
    /// be wrong: send() has the last word. Asked before a record is built.
    [[nodiscard]] virtual bool has_room() { return true; }

    /// Starts one attempt. `record` is good during the call, but for its body when body_in_frame:
    /// that stays until the outcome was told. `attempt` counts from 1.
    virtual admission send(engine::attempt_token token, std::uint32_t attempt,
                           const event::record& record, engine::outcome& refusal) = 0;

    /// Gives up what is not on the wire yet; every pending attempt still gets its outcome, soon.
    virtual void purge() = 0;

    /// Pending attempts.
    [[nodiscard]] virtual std::size_t in_flight() const noexcept = 0;

    /// Nothing is pending, nor a purge under way.
    [[nodiscard]] virtual bool at_rest() const noexcept { return in_flight() == 0; }

    /// While at_rest(), before the destructor and nothing else: what of it may take long to end, to
    /// be let go of in another thread. May be null.
    [[nodiscard]] virtual std::shared_ptr<void> retire() { return nullptr; }
};

}  // namespace walrelay::sink
