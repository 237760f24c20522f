#include "simulation/rare_states.hpp"

#include <algorithm>
#include <cstring>

namespace walrelay::simulation {

namespace {

constexpr std::array<const char*, static_cast<std::size_t>(rare::count_)> names{
    "relay crash inside a transaction",
    "crash between delivery and acknowledgement",
    "clean restart of the relay",
    "confirmed position went back",
    "reconnect with attempts in flight",
    "failover",
    "failover that lost delivered rows",
    "server stopped idle",
    "server stopped while events were unresolved",
    "server stopped while a limit was full",
    "limit full",
    "keepalive adopted",
    "keepalive inside a transaction",
    "record sent again that had landed",
    "sink stalled",
    "target stalled",
    "target opened by another record than its probe",
    "probe of a target chosen, and the sink full",
    "batch refused",
    "sink full",
    "record sent because time passed, and nothing else",
    "outcome of a record unknown",
    "record written while its stream was lost",
    "event for two sinks",
    "message between two transactions",
    "message inside a transaction",
    "unit read again that was resolved before",
    "slot still held by the old connection",
    "part of a frame arrived",
    "message that is cut off arrived",
    "row parked",
    "twenty rows in a row parked by a sink that refuses all",
    "row of a stuck key set aside",
    "row queued behind a held key",
    "row sent from the store",
    "no room for a row of the store",
    "row from the store parked",
    "row sent from the store while an older one was read again",
    "key live again",
    "stream started with held keys",
    "row read again that the store has",
    "outcome of a call of the store unknown",
    "relay crash while something is set aside",
    "redrive or drop applied",
    "row of a key arrived between the commit of its redrive and its application",
    "sink paused or resumed",
    "limit full while a sink is paused",
    "halted by a good row that a sink refuses",
    "halted after three refusals",
    "halted at the first refusal",
    "halted by a batch of one record",
    "halted by a row that no route takes",
    "sent what stands before a halt",
    "refused record accepted in the end",
    "operator stepped over a row",
    "outcome told of an old attempt while the new one is on the wire",
    "attempt of a dead process landed",
    "attempt of a dead process landed after the new process's",
};

}  // namespace

std::vector<std::pair<std::string, std::uint64_t>> rare_states::counts() const {
    std::vector<std::pair<std::string, std::uint64_t>> all;
    for (std::size_t i = 0; i < names.size(); ++i)
        all.emplace_back(names[i], counts_[i]);
    return all;
}

std::string rare_states::packed() const {
    return {reinterpret_cast<const char*>(counts_.data()), sizeof counts_};
}

rare_states rare_states::unpack(std::string_view& bytes) {
    rare_states read;
    std::memcpy(read.counts_.data(), bytes.substr(0, sizeof read.counts_).data(),
                std::min(bytes.size(), sizeof read.counts_));
    bytes.remove_prefix(std::min(bytes.size(), sizeof read.counts_));
    return read;
}

rare_states& rare_states::operator+=(const rare_states& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i)
        counts_[i] += other.counts_[i];
    return *this;
}

}  // namespace walrelay::simulation
