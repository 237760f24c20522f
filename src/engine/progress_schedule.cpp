#include "walrelay/engine/progress_schedule.hpp"

#include <utility>

#include "walrelay/core/planted.hpp"
#include "walrelay/engine/invariant.hpp"

namespace walrelay::engine {

namespace {

constexpr duration period = std::chrono::seconds{1};
constexpr duration idle_period = std::chrono::minutes{5};
constexpr std::uint64_t idle_bytes = 256 * 1024;
/// What the server may write because of our record beside the record itself: its commit, a snapshot
/// of running transactions, a checkpoint's own records.
constexpr std::uint64_t own_wal_bytes = 16 * 1024;

}  // namespace

void progress_schedule::restart(lsn recorded, bool behind, time_point now) {
    owes_write_ = behind;
    recorded_ = planted(bug::record_forgotten_on_reconnect) ? lsn{} : recorded;
    recorded_events_ = 0;
    last_write_ = now - period;
    not_before_ = now;
    writing_.reset();
    own_wal_end_ = recorded;
    snapshot_.reset();
    stores_snapshot_ = false;
}

time_point progress_schedule::due_at(const ledger& units) const noexcept {
    if (writing_ || units.safe() <= recorded_) return never;
    const std::uint64_t events = units.safe_events() - recorded_events_;
    if (events * 2 >= replay_limit_ && events > 0) return not_before_;
    if (events > 0 || owes_write_ || units.safe().value - recorded_.value >= idle_bytes)
        return last_write_ + period;
    if (units.safe().value > own_wal_end_.value + own_wal_bytes) return last_write_ + idle_period;
    return never;
}

std::optional<progress_schedule::write> progress_schedule::due(const ledger& units, time_point now,
                                                               bool at_once) {
    const bool busy = writing_ && !planted(bug::second_record_written);
    if (busy || units.safe() <= recorded_) return std::nullopt;
    if (!at_once && now < due_at(units)) return std::nullopt;
    const bool backwards = planted(bug::record_goes_back) && recorded_ > lsn{};
    writing_ = mark{backwards ? lsn{recorded_.value / 2} : units.safe(), units.safe_events()};
    last_write_ = now;
    write record{writing_->safe, std::nullopt};
    stores_snapshot_ = snapshot_ && units.safe() >= snapshot_->after;
    if (stores_snapshot_) record.delivered_snapshot = snapshot_->text;
    return record;
}

void progress_schedule::done(std::string snapshot, lsn insert_lsn) {
    require(writing_.has_value(), "I2: a record was confirmed that was not written");
    require(writing_->safe >= recorded_, "I2: the record went back");
    recorded_ = writing_->safe;
    recorded_events_ = writing_->events;
    writing_.reset();
    own_wal_end_ = insert_lsn;
    owes_write_ = false;
    if (stores_snapshot_) snapshot_.reset();
    stores_snapshot_ = false;
    if (!snapshot_) snapshot_ = waiting_snapshot{std::move(snapshot), insert_lsn};
}

void progress_schedule::failed() {
    if (planted(bug::unknown_record_counts)) recorded_ = writing_->safe;
    writing_.reset();
    not_before_ = last_write_ + period;
    stores_snapshot_ = false;
}

time_point progress_schedule::wake_at(const ledger& units) const noexcept {
    return due_at(units);
}

}  // namespace walrelay::engine
