// States that a set of runs must reach, or it proves little.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace walrelay::simulation {

enum class rare : std::uint8_t {
    relay_crash_in_transaction,
    crash_between_delivery_and_ack,
    clean_restart,
    confirmed_position_went_back,
    reconnect_with_attempts_in_flight,
    failover,
    failover_lost_delivered_rows,
    server_stopped_idle,
    server_stopped_undelivered,
    server_stopped_unread,
    limit_full,
    keepalive_adopted,
    keepalive_inside_transaction,
    sent_again,
    sink_stalled,
    target_stalled,
    late_success_opened_target,
    probe_sent_back,
    batch_refused,
    sink_full,
    wake_up_alone,
    record_outcome_unknown,
    record_outlived_stream,
    event_for_two_sinks,
    message_between_transactions,
    message_inside_transaction,
    unit_resolved_before,
    slot_busy,
    part_of_a_frame,
    damaged_frame,
    row_parked,
    all_refused,
    key_set_aside,
    queued_behind_a_held_key,
    sent_from_the_store,
    no_room_to_read_back,
    fed_row_parked,
    sent_before_an_older_one,
    key_live_again,
    started_with_held_keys,
    read_again_and_resolved_by_the_store,
    store_call_unknown,
    crash_while_setting_aside,
    mark_applied,
    row_between_redrive_and_its_application,
    sink_paused,
    pause_looked_up,
    halted_by_the_sink,
    halted_after_three_refusals,
    halted_at_once,
    halted_by_batch_alone,
    halted_without_route,
    sent_what_stands_before_a_halt,
    refusal_ended,
    stepped_over,
    late_outcome,
    late_landing,
    late_landing_after_new_process,
    count_,
};

class rare_states {
public:
    void note(rare state) noexcept { ++counts_[static_cast<std::size_t>(state)]; }

    /// Name and count of each.
    [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> counts() const;
    /// As bytes, from one process to another.
    [[nodiscard]] std::string packed() const;
    /// The first of `bytes`, which loses them.
    [[nodiscard]] static rare_states unpack(std::string_view& bytes);
    rare_states& operator+=(const rare_states& other) noexcept;

private:
    std::array<std::uint64_t, static_cast<std::size_t>(rare::count_)> counts_{};
};

}  // namespace walrelay::simulation
