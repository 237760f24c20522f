// Bugs that the simulator plants, to see whether it would find them.
#pragma once

#include <cstdint>

namespace walrelay {

/// Each is one wrong decision, at the place where the right one is taken:
/// `if (right || planted(bug::name))`. tests/simulation/planted_bugs.cpp says what each one does.
enum class bug : std::uint8_t {
    none,
    // what is acknowledged
    commit_lsn_acknowledged,
    acknowledged_above_record,
    unknown_record_counts,
    second_record_written,
    record_goes_back,
    keepalive_adopted_early,
    hole_skipped,
    safe_forgotten_on_reconnect,
    record_forgotten_on_reconnect,
    other_timeline_ignored,
    unit_at_safe_skipped,
    resolved_unit_sent_again,
    keepalive_reply_forgotten,
    silent_while_idle,
    stopping_server_unnoticed,
    end_of_wal_not_told,
    // what is read
    ordinal_lost,
    ordinal_restarts_at_relation,
    fiftieth_row_lost,
    lone_message_read_again,
    message_placed_first,
    truncated_keepalive_taken,
    null_key_is_a_key,
    empty_key_is_null,
    row_without_route_dropped,
    pause_ignored,
    reading_never_pauses,
    // what an outcome means
    second_sink_forgotten,
    unknown_error_dropped,
    unknown_error_parks,
    first_refusal_parks,
    transient_error_parks,
    batch_blamed_on_record,
    batch_not_taken_apart,
    breaker_never_trips,
    halt_ignored,
    // how an answer is read
    missing_url_blames_event,
    overload_blames_event,
    server_error_blames_event,
    redirect_counts_as_delivered,
    lost_answer_counts_as_delivered,
    refused_batch_blames_record,
    missing_topic_blames_record,
    new_code_may_pass,
    // order
    late_success_taken,
    late_outcome_taken,
    failed_key_not_awaited,
    sent_back_goes_last,
    reopened_target_newest_first,
    failed_keys_outlive_stream,
    orphan_counts,
    // wake-ups
    stalled_sink_never_probed,
    probe_outlives_stream,
    target_wake_up_lost,
    // what is set aside
    set_aside_before_durable,
    failed_put_forgotten,
    key_held_in_an_outage,
    held_key_overtaken,
    held_key_live_too_early,
    held_keys_forgotten_at_start,
    parked_row_sent_again,
    delivered_row_skipped,
    held_rows_newest_first,
    fed_row_takes_first_target,
    outcome_of_held_row_lost,
    redriven_key_not_looked_at,
    // the relay around the engine, as the simulator plays it
    outcome_told_twice,
    stale_answer_told,
    unknown_put_told_as_done,
    server_stop_acknowledges_all,
    count_,
};

#ifdef WALRELAY_PLANTED_BUGS  // the simulator's own build, and nothing else
inline bug planted_bug = bug::none;

[[nodiscard]] inline bool planted(bug which) noexcept {
    return which == planted_bug;
}
#else
[[nodiscard]] constexpr bool planted(bug /*which*/) noexcept {
    return false;
}
#endif

}  // namespace walrelay
