// A simulated walrelay.parked: what the SQL of the relay does, row by row.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulation/source_row.hpp"
#include "walrelay/engine/engine.hpp"
#include "walrelay/intake/event_store.hpp"
#include "walrelay/intake/mark.hpp"
#include "walrelay/intake/row_reader.hpp"

namespace walrelay::simulation {

class fake_store {
public:
    struct row {
        engine::aside_id id = 0;
        event::row_position position;
        std::optional<std::uint16_t> sink;
        std::optional<std::uint64_t> lane;
        engine::aside_state state = engine::aside_state::parked;
        bool holds_key = false;
        bool redriven = false;
        std::uint32_t attempts = 0;
        std::uint64_t epoch = 0;  ///< in which it was put
        intake::row_messages messages;
        row_number number = 0;
    };

    [[nodiscard]] engine::aside_put_answer put(row made, lsn wal);
    void change(const engine::aside_change& asked, lsn wal);
    /// As load_aside() gives them.
    [[nodiscard]] std::vector<intake::loaded_row> load(const engine::load_request& asked) const;
    /// The lanes that it touched. `reroute` gives the sinks of a row that had none.
    using placements_of = std::function<std::vector<event::placement>(const row&)>;
    [[nodiscard]] std::vector<engine::lane_ref> apply(const intake::mark& wish, lsn wal,
                                                      const placements_of& reroute);
    [[nodiscard]] engine::aside_start start(lsn from) const;

    /// What was written after this position of the WAL is gone.
    void roll_back(lsn wal);

    [[nodiscard]] const std::map<engine::aside_id, row>& rows() const noexcept { return rows_; }

    /// The row of an event for a sink, or for none.
    [[nodiscard]] const row* find(stream_place place, std::optional<std::uint16_t> sink) const;

    [[nodiscard]] static intake::stored_row stored(const row& one);

private:
    void load_lane(const engine::aside_load& asked, std::size_t index, std::uint64_t most_bytes,
                   std::uint64_t& used, std::vector<intake::loaded_row>& found) const;
    void touch_rerouted(const row& one, std::vector<engine::lane_ref>& touched) const;
    void remember(engine::aside_id id, lsn wal);

    struct undo {
        lsn wal;
        engine::aside_id id = 0;
        std::optional<row> before;
    };

    [[nodiscard]] static std::pair<stream_place, int> name_of(const row& one);

    std::map<engine::aside_id, row> rows_;
    std::map<std::pair<stream_place, int>, engine::aside_id> by_place_;
    std::vector<undo> journal_;
    engine::aside_id next_id_ = 1;
};

/// Waits in the store, in the lane of its key.
[[nodiscard]] bool holds_its_key(const fake_store::row& one);

}  // namespace walrelay::simulation
