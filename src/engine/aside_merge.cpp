#include "walrelay/engine/aside_merge.hpp"

#include <algorithm>
#include <utility>

namespace walrelay::engine {

void aside_merge::start(std::vector<aside_entry> entries) {
    entries_ = std::move(entries);
    next_ = 0;
    fed_.clear();
}

void aside_merge::note_fed(std::size_t sink, lane_key lane, stream_place place) {
    if (sink >= fed_.size()) fed_.resize(sink + 1);
    stream_place& newest = fed_[sink][lane];
    newest = std::max(newest, place);
}

void aside_merge::note_parked(std::size_t sink, stream_place place) {
    auto at = std::lower_bound(
        entries_.begin(), entries_.end(), place,
        [](const aside_entry& entry, stream_place wanted) { return entry.place < wanted; });
    for (; at != entries_.end() && at->place == place; ++at) {
        if (at->sink == sink) at->state = aside_state::parked;
    }
}

bool aside_merge::fed(std::size_t sink, lane_key lane, stream_place place) const {
    if (sink >= fed_.size()) return false;
    const auto found = fed_[sink].find(lane);
    return found != fed_[sink].end() && place <= found->second;
}

std::span<const aside_entry> aside_merge::at(stream_place place) {
    while (next_ < entries_.size() && entries_[next_].place < place)
        ++next_;
    std::size_t end = next_;
    while (end < entries_.size() && entries_[end].place == place)
        ++end;
    const std::span found{entries_.data() + next_, end - next_};
    if (found.empty() && over()) start({});  // passed: the memory goes back
    return found;
}

const aside_entry* row_for(std::span<const aside_entry> rows, std::optional<std::size_t> sink) {
    const aside_entry* of_none = nullptr;
    for (const aside_entry& row : rows) {
        if (!row.sink) {
            of_none = &row;
        } else if (row.sink == sink) {
            return &row;
        }
    }
    return of_none;
}

}  // namespace walrelay::engine
