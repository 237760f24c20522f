#include "simulation/world.hpp"

namespace walrelay::simulation {

std::vector<std::pair<std::string, std::uint64_t>> rare_states::counts() const {
    return {{"relay crash inside a transaction", relay_crash_in_transaction},
            {"crash between delivery and acknowledgement", crash_between_delivery_and_ack},
            {"confirmed position went back", confirmed_position_went_back},
            {"reconnect with attempts in flight", reconnect_with_attempts_in_flight},
            {"limit full", limit_full},
            {"keepalive adopted", keepalive_adopted},
            {"keepalive inside a transaction", keepalive_inside_transaction},
            {"successor of a failed record sent again", successor_sent_again},
            {"sink stalled", sink_stalled},
            {"target stalled", target_stalled},
            {"batch refused", batch_refused},
            {"sink full", sink_full},
            {"outcome of a record unknown", record_outcome_unknown},
            {"event for two sinks", event_for_two_sinks},
            {"unit read again that was resolved before", unit_resolved_before}};
}

rare_states& rare_states::operator+=(const rare_states& other) {
    relay_crash_in_transaction += other.relay_crash_in_transaction;
    crash_between_delivery_and_ack += other.crash_between_delivery_and_ack;
    confirmed_position_went_back += other.confirmed_position_went_back;
    reconnect_with_attempts_in_flight += other.reconnect_with_attempts_in_flight;
    limit_full += other.limit_full;
    keepalive_adopted += other.keepalive_adopted;
    keepalive_inside_transaction += other.keepalive_inside_transaction;
    successor_sent_again += other.successor_sent_again;
    sink_stalled += other.sink_stalled;
    target_stalled += other.target_stalled;
    batch_refused += other.batch_refused;
    sink_full += other.sink_full;
    record_outcome_unknown += other.record_outcome_unknown;
    event_for_two_sinks += other.event_for_two_sinks;
    unit_resolved_before += other.unit_resolved_before;
    return *this;
}

}  // namespace walrelay::simulation
