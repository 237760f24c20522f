#include "walrelay/engine/ledger.hpp"

#include <algorithm>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

void ledger::restart() {
    units_.clear();
    free_.clear();
    head_ = tail_ = open_ = none;
    entries_ = 0;
    received_ = safe_;
    complete_events_ = safe_events_ = 0;
}

void ledger::restart_at(lsn recorded) {
    safe_ = recorded;
    restart();
}

unit_index ledger::append() {
    unit_index at = 0;
    if (free_.empty()) {
        at = static_cast<unit_index>(units_.size());
        units_.emplace_back();
    } else {
        at = free_.back();
        free_.pop_back();
        units_[at] = unit{};
    }
    units_[at].previous = tail_;
    if (tail_ == none) {
        head_ = at;
    } else {
        units_[tail_].next = at;
    }
    tail_ = at;
    ++entries_;
    return at;
}

void ledger::remove(unit_index at) {
    const unit& gone = units_[at];
    (gone.previous == none ? head_ : units_[gone.previous].next) = gone.next;
    (gone.next == none ? tail_ : units_[gone.next].previous) = gone.previous;
    free_.push_back(at);
    --entries_;
}

unit_index ledger::begin(std::int64_t commit_time_us) {
    require(open_ == none, "I3: a unit began inside another");
    open_ = append();
    units_[open_].commit_time_us = commit_time_us;
    return open_;
}

void ledger::add_event() {
    require(open_ != none, "I3: an event outside a unit");
    ++units_[open_].events;
    ++units_[open_].unresolved;
}

void ledger::add_resolved_event() {
    require(open_ != none, "I3: an event outside a unit");
    ++units_[open_].events;
}

void ledger::commit(lsn end) {
    require(open_ != none, "I3: a unit ended that had not begun");
    const unit_index at = open_;
    open_ = none;
    unit& done = units_[at];
    done.end = end;
    done.complete = true;
    complete_events_ += done.events;
    received_ = std::max(received_, end);
    if (done.unresolved == 0) settle(at);
}

void ledger::resolve(unit_index at) {
    require(at < units_.size() && units_[at].unresolved > 0, "I5: an event was resolved twice");
    unit& touched = units_[at];
    if (--touched.unresolved == 0 && touched.complete) settle(at);
}

void ledger::settle(unit_index at) {
    // Merge with resolved neighbours: a run of resolved units behind a stuck one is one entry.
    const unit_index before = units_[at].previous;
    if (before != none && units_[before].resolved()) {
        units_[before].end = std::max(units_[before].end, units_[at].end);
        units_[before].events += units_[at].events;
        remove(at);
        at = before;
    }
    const unit_index after = units_[at].next;
    if (after != none && units_[after].resolved()) {
        units_[at].end = std::max(units_[at].end, units_[after].end);
        units_[at].events += units_[after].events;
        remove(after);
    }
    if (at != head_ && !planted(bug::hole_skipped)) return;
    safe_ = std::max(safe_, units_[at].end);
    safe_events_ += units_[at].events;
    remove(at);
    require(head_ == none || !units_[head_].resolved(), "I5: resolved neighbours were not merged");
}

void ledger::adopt(lsn wal_end) {
    if (!idle() && !planted(bug::keepalive_adopted_early)) return;
    received_ = std::max(received_, wal_end);
    safe_ = std::max(safe_, wal_end);
}

std::int64_t ledger::oldest_commit_time_us() const noexcept {
    return head_ == none ? 0 : units_[head_].commit_time_us;
}

}  // namespace walrelay::engine
