#include "simulation/fake_store.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace walrelay::simulation {

using engine::aside_state;

bool holds_its_key(const fake_store::row& one) {
    const bool waits = one.state == aside_state::held || one.state == aside_state::parked;
    return waits && one.holds_key && one.lane && one.sink;
}

void fake_store::remember(engine::aside_id id, lsn wal) {
    const auto found = rows_.find(id);
    journal_.push_back(
        {wal, id, found == rows_.end() ? std::nullopt : std::optional{found->second}});
}

void fake_store::roll_back(lsn wal) {
    while (!journal_.empty() && journal_.back().wal > wal) {
        const undo& last = journal_.back();
        if (last.before) {
            rows_.insert_or_assign(last.id, *last.before);
        } else {
            by_place_.erase(name_of(rows_.at(last.id)));
            rows_.erase(last.id);
        }
        journal_.pop_back();
    }
}

const fake_store::row* fake_store::find(stream_place place,
                                        std::optional<std::uint16_t> sink) const {
    const auto found = by_place_.find({place, sink ? int{*sink} : -1});
    return found == by_place_.end() ? nullptr : &rows_.at(found->second);
}

std::pair<stream_place, int> fake_store::name_of(const row& one) {
    return {one.position.place(), one.sink ? int{*one.sink} : -1};
}

engine::aside_put_answer fake_store::put(row made, lsn wal) {
    if (const row* const there = find(made.position.place(), made.sink)) {
        row& one = rows_.at(there->id);
        remember(one.id, wal);
        // What was put in this epoch is put again only because an answer was lost.
        if (one.state == aside_state::delivered && one.epoch != made.epoch) {
            one.state = made.state;
            one.holds_key = made.holds_key;
            one.attempts = made.attempts;
            one.epoch = made.epoch;
        }
        return {one.id, one.state};
    }
    made.id = next_id_++;
    remember(made.id, wal);
    by_place_.emplace(name_of(made), made.id);
    const engine::aside_put_answer answer{made.id, made.state};
    rows_.emplace(made.id, std::move(made));
    return answer;
}

void fake_store::change(const engine::aside_change& asked, lsn wal) {
    const auto found = rows_.find(asked.id);
    if (found == rows_.end() || found->second.state != aside_state::held) return;
    remember(asked.id, wal);
    found->second.state = asked.state;
    found->second.holds_key = asked.holds_key;
    found->second.attempts = std::max(found->second.attempts, asked.attempts);
}

intake::stored_row fake_store::stored(const row& one) {
    intake::stored_row out;
    out.relation = one.messages.relation;
    out.message_bytes = one.messages.insert.size();
    out.message = std::make_unique<std::byte[]>(out.message_bytes);
    std::memcpy(out.message.get(), one.messages.insert.data(), out.message_bytes);
    out.position = one.position;
    return out;
}

std::vector<intake::loaded_row> fake_store::load(const engine::load_request& asked) const {
    std::vector<intake::loaded_row> found;
    std::uint64_t used = 0;
    for (std::size_t i = 0; i < asked.lanes.size(); ++i)
        load_lane(asked.lanes[i], i, asked.most_bytes, used, found);
    return found;
}

/// Oldest first, as far as there is room; one row is always given.
void fake_store::load_lane(const engine::aside_load& asked, std::size_t index,
                           std::uint64_t most_bytes, std::uint64_t& used,
                           std::vector<intake::loaded_row>& found) const {
    std::vector<const row*> waiting;
    for (const auto& [id, one] : rows_) {
        if (one.sink != asked.sink) continue;
        const bool waits = one.state == aside_state::held || holds_its_key(one);
        if (waits && engine::lane_of_row(one.lane, id, one.holds_key) == asked.lane)
            waiting.push_back(&one);
    }
    std::sort(waiting.begin(), waiting.end(),
              [](const row* a, const row* b) { return a->position.place() < b->position.place(); });
    std::uint32_t given = 0;
    for (const row* const one : waiting) {
        if (given == asked.most_rows) break;
        const bool blocks = one->state == aside_state::parked;
        if (blocks && given > 0) break;
        const bool first_of_all = found.empty();
        used += one->messages.insert.size();
        const bool left = !first_of_all && used > most_bytes;
        if (left && given > 0) break;
        found.push_back({index, one->id, {}, one->attempts, one->redriven, blocks, left});
        if (blocks || left) break;
        found.back().row = stored(*one);
        ++given;
    }
}

std::vector<engine::lane_ref> fake_store::apply(const intake::mark& wish, lsn wal,
                                                const placements_of& reroute) {
    std::vector<engine::lane_ref> touched;
    for (const std::int64_t id : wish.ids) {
        const auto found = rows_.find(id);
        if (found == rows_.end()) continue;
        row& one = found->second;
        // Applied again after an answer that was lost: the lanes still have to be told.
        if (one.sink)
            touched.push_back({*one.sink, engine::lane_of_row(one.lane, id, one.holds_key)});
        if (!one.sink) touch_rerouted(one, touched);
        if (one.state != aside_state::parked && one.state != aside_state::held) continue;
        remember(id, wal);
        if (wish.what == intake::mark::action::drop) {
            one.state = aside_state::dropped;
        } else if (one.sink) {
            one.state = aside_state::held;
            one.attempts = 0;
            one.redriven = true;
        } else {
            const auto places = reroute(one);
            if (places.empty()) continue;
            one.state = aside_state::delivered;
            for (const event::placement& to : places) {
                row made = one;
                made.sink = static_cast<std::uint16_t>(to.sink);
                made.lane = to.keyed ? std::optional{to.key_hash} : std::nullopt;
                made.state = aside_state::held;
                made.holds_key = false;
                made.attempts = 0;
                made.redriven = true;
                const auto there = put(made, wal);
                touched.push_back({*made.sink, engine::lane_of_row(made.lane, there.id, false)});
            }
        }
    }
    return touched;
}

/// The rows for the sinks of an event that had none.
void fake_store::touch_rerouted(const row& one, std::vector<engine::lane_ref>& touched) const {
    for (const auto& [id, other] : rows_) {
        if (other.sink && other.position.place() == one.position.place())
            touched.push_back({*other.sink, engine::lane_of_row(other.lane, id, other.holds_key)});
    }
}

engine::aside_start fake_store::start(lsn from) const {
    engine::aside_start known;
    std::map<std::pair<std::uint16_t, std::uint64_t>, const row*> oldest_of_key;
    for (const auto& [id, one] : rows_) {
        if (one.position.commit_lsn >= from)
            known.entries.push_back({one.position.place(), one.sink, one.state, one.holds_key});
        if (!one.sink) continue;
        const engine::lane_key lane = engine::lane_of_row(one.lane, id, one.holds_key);
        if (holds_its_key(one)) {
            const row*& oldest = oldest_of_key[{*one.sink, *one.lane}];
            if (oldest == nullptr || one.position.place() < oldest->position.place()) oldest = &one;
        } else if (one.state == aside_state::held) {
            const auto same = [&](const engine::held_lane& other) {
                return other.sink == *one.sink && other.lane == lane;
            };
            if (std::none_of(known.lanes.begin(), known.lanes.end(), same))
                known.lanes.push_back({*one.sink, lane, false});
        }
    }
    for (const auto& [key, one] : oldest_of_key) {
        known.lanes.push_back({key.first,
                               {key.second, engine::lane_key::kind::keyed},
                               one->state == aside_state::parked});
    }
    std::sort(known.entries.begin(), known.entries.end(),
              [](const engine::aside_entry& a, const engine::aside_entry& b) {
                  return a.place < b.place;
              });
    return known;
}

}  // namespace walrelay::simulation
