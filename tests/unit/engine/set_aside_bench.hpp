// An engine whose store the test plays.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "support/catch.hpp"
#include "walrelay/engine/engine.hpp"

namespace walrelay::set_aside {

using namespace std::chrono_literals;
using engine::aside_state;
using engine::lane_depth;
using engine::lane_key;
using engine::outcome;
using engine::outcome_class;
using policy = config::error_policy;

inline constexpr time_point start{1h};
inline const outcome delivered{outcome_class::delivered};
inline const outcome failed{outcome_class::transient, "HTTP 500"};
inline const outcome refused{outcome_class::event_final, "too large"};

/// An engine with one HTTP sink, in the middle of a transaction.
struct bench {
    explicit bench(engine::aside_start known = {}, engine::engine_options with = options())
        : decisions{with} {
        decisions.stream_started(lsn{100}, false, std::move(known), 10s, start);
        REQUIRE(decisions.begin(lsn{200}, 1));
    }

    static engine::engine_options options() {
        engine::engine_options made;
        made.sinks = {{lane_depth::serial, true}};
        made.hold = 10s;
        return made;
    }

    std::optional<engine::event_slot> add(std::uint64_t key, policy on_error = policy::park) {
        return add({0, key, 1, true, on_error});
    }

    std::optional<engine::event_slot> add_without_key() {
        return add({0, 0, 1, false, policy::park});
    }

    std::optional<engine::event_slot> add(const event::placement& to) {
        return decisions.add(10, {lsn{200}, next++, 0}, {&to, 1});
    }

    /// Ends the next attempt, of which there must be one.
    engine::event_slot end(const outcome& seen, time_point at = start) {
        const auto attempt = decisions.next(0, at);
        REQUIRE(attempt);
        decisions.attempt_ended(attempt->token, seen, at);
        return attempt->event;
    }

    template <class Request>
    Request asked(time_point at = start) {
        auto request = decisions.store_due(at);
        REQUIRE(request);
        REQUIRE(std::holds_alternative<Request>(*request));
        return std::get<Request>(std::move(*request));
    }

    void put_all(time_point at = start) {
        const auto request = asked<engine::put_request>(at);
        std::vector<engine::aside_put_answer> there;
        for (const auto& row : request.rows)
            there.push_back({++id, row.state});
        decisions.put_done(there);
    }

    engine::engine decisions;
    std::int32_t next = 0;
    engine::aside_id id = 0;
};

inline const lane_key held_key{1, lane_key::kind::keyed};

/// Row 7 of the store, the only one of held_key, was read back and is ready.
struct read_back : bench {
    explicit read_back(std::uint64_t of_target) : bench{held()}, target{of_target} {
        static_cast<void>(asked<engine::load_request>());
        give_row();
    }

    void give_row() {
        decisions.feed({0, held_key, 7, {lsn{50}, 0, 0}, 0, 10, target});
        decisions.load_done();
    }

    /// An operator does, and the row was never sent again.
    void drop_row(time_point at = start) {
        static_cast<void>(decisions.add_mark(10));
        static_cast<void>(asked<engine::mark_request>(at));
        const std::vector<engine::lane_ref> touched{{0, held_key}};
        decisions.mark_done(touched);
    }

    static engine::aside_start held() {
        engine::aside_start known;
        known.lanes = {{0, held_key, false}};
        return known;
    }

    std::uint64_t target;
};

}  // namespace walrelay::set_aside
