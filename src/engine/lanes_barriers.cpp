// What holds a sink, a topic or URL, or a lane back, and what lets it go on.
#include <algorithm>

#include "walrelay/engine/lanes.hpp"

#include "walrelay/core/planted.hpp"

namespace walrelay::engine {

namespace {

/// What waited for a stalled target may have been dropped: it is forgotten when nothing has asked
/// for it so long after it could have been tried.
constexpr duration target_kept = std::chrono::minutes{1};

}  // namespace

/// Lanes whose wait is over, and one record for each stalled target that may be probed.
void lanes::release_due(time_point now) {
    while (!retries_.empty() && retries_.top().at <= now) {
        const retry due = retries_.top();
        retries_.pop();
        const auto found = lanes_.find(due.key);
        if (found == lanes_.end() || !found->second.backing_off || found->second.retry_at != due.at)
            continue;
        found->second.backing_off = false;
        if (found->second.held) {
            want_load(due.key, found->second);
        } else {
            make_ready(found->second.events.front());
        }
    }
    if (!heavy_.empty()) retry_heavy(now);
    if (now < targets_due_) return;
    targets_due_ = never;
    std::erase_if(targets_, [now](const auto& one) {
        const barrier& shut = one.second;
        return shut.probe == no_delivery && shut.held.empty() && shut.until + target_kept <= now;
    });
    for (auto& [target, shut] : targets_) {
        if (shut.probe != no_delivery) continue;
        if (shut.held.empty()) {
            targets_due_ = std::min(targets_due_, shut.until + target_kept);
            continue;
        }
        if (shut.until > now) {
            targets_due_ = std::min(targets_due_, shut.until);
            continue;
        }
        const delivery_index oldest = shut.held.front();
        shut.held.remove(pool_, oldest);
        shut.probe = oldest;
        pool_[oldest].target_probe = true;
        pool_[oldest].now = delivery::state::ready;
        ready_.push_front(pool_, oldest);
    }
}

/// True: `at` waits in the queue of its target now.
bool lanes::held_by_target(delivery_index at, time_point now) {
    const auto found = targets_.find(pool_[at].target_hash);
    if (found == targets_.end() || pool_[at].target_probe) return false;
    barrier& shut = found->second;
    if (shut.probe == no_delivery && now >= shut.until) {
        shut.probe = at;
        pool_[at].target_probe = true;
        return false;
    }
    pool_[at].now = delivery::state::gated;
    clear_suspicion_of_lane(at);
    shut.held.push_back(pool_, at);
    if (shut.probe == no_delivery) targets_due_ = std::min(targets_due_, shut.until);
    return true;
}

void lanes::close_barriers(delivery_index at, const outcome& seen, const directive& follows,
                           time_point now) {
    delivery& one = pool_[at];
    const auto close = [&](barrier& shut, bool probe) {
        if (shut.failures == 0) shut.since = now;
        if (shut.failures == 0 || probe) {
            ++shut.failures;
            shut.failed_at = now;
            shut.until = now + follows.wait;
            shut.reason = seen.reason;
        }
        if (probe && !planted(bug::stalled_sink_never_probed)) shut.probe = no_delivery;
    };
    // What an answer says of the event or of a topic shows that the sink itself answers.
    const bool sink_answers =
        seen.what == outcome_class::target || seen.what == outcome_class::event ||
        seen.what == outcome_class::event_final || seen.what == outcome_class::batch;
    const bool target_answers = sink_answers && seen.what != outcome_class::target;
    const auto target = targets_.find(one.target_hash);

    if (follows.what == directive::kind::stall_sink ||
        (one.sink_probe && !sink_answers && follows.what != directive::kind::resolve)) {
        close(barrier_, one.sink_probe);
    } else if (one.sink_probe) {
        open_sink();
    }
    const bool stalls = follows.what == directive::kind::stall_target;
    if (stalls ||
        (one.target_probe && !target_answers && follows.what != directive::kind::resolve)) {
        barrier& shut = targets_[one.target_hash];
        close(shut, one.target_probe);
        targets_due_ = std::min(targets_due_, shut.until);
    } else if (one.target_probe && target != targets_.end()) {
        open_target(one.target_hash);
    }
    one.sink_probe = one.target_probe = false;
}

void lanes::probe_now(time_point now) {
    barrier_.until = std::min(barrier_.until, now);
    for (auto& [target, shut] : targets_)
        shut.until = std::min(shut.until, now);
    if (!targets_.empty()) targets_due_ = std::min(targets_due_, now);
}

void lanes::open_sink() {
    barrier_.failures = 0;
    barrier_.probe = no_delivery;
    barrier_.reason.clear();
}

/// What waited is older than what is ready: it goes first, in its own order. A probe that was
/// chosen and not sent yet is older still.
void lanes::open_target(std::uint64_t target) {
    const auto found = targets_.find(target);
    if (found == targets_.end()) return;
    queue_list held = found->second.held;
    const delivery_index probe = found->second.probe;
    targets_.erase(found);
    std::vector<delivery_index> oldest_first;
    if (probe != no_delivery) {
        pool_[probe].target_probe = false;
        if (pool_[probe].now == delivery::state::ready) {
            ready_.remove(pool_, probe);
            oldest_first.push_back(probe);
        }
    }
    while (!held.empty()) {
        oldest_first.push_back(held.front());
        held.remove(pool_, held.front());
    }
    if (planted(bug::reopened_target_newest_first))
        std::reverse(oldest_first.begin(), oldest_first.end());
    for (auto at = oldest_first.rbegin(); at != oldest_first.rend(); ++at) {
        pool_[*at].now = delivery::state::ready;
        ready_.push_front(pool_, *at);
    }
}

std::vector<stall_info> lanes::stalls(std::size_t most) const {
    std::vector<stall_info> found;
    if (barrier_.failures > 0) {
        const delivery_index example = order_.empty() ? fed_.front() : order_.front();
        found.push_back({stall_info::scope::sink, example, barrier_.reason, barrier_.failures,
                         barrier_.since, barrier_.until});
    }
    for (const auto& [target, shut] : targets_) {
        if (found.size() >= most) return found;
        delivery_index example = shut.held.front();
        for (const order_list* const list : {&order_, &fed_}) {
            for (delivery_index at = list->front(); example == no_delivery && at != no_delivery;
                 at = order_list::after(pool_, at)) {
                if (pool_[at].target_hash == target) example = at;
            }
        }
        if (example == no_delivery) continue;  // remembered, but nothing waits for it
        found.push_back({stall_info::scope::target, example, shut.reason, shut.failures, shut.since,
                         shut.until});
    }
    if (failed_lanes_ == 0) return found;
    for (const auto& [key, one] : lanes_) {
        if (found.size() >= most) return found;
        if (one.failures == 0 || one.events.empty()) continue;
        found.push_back({stall_info::scope::lane, one.events.front(), one.reason, one.failures,
                         one.since, one.retry_at, one.held == nullptr});
    }
    return found;
}

}  // namespace walrelay::engine
