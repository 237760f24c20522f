#include "walrelay/relay/dispatcher.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "walrelay/core/escape.hpp"
#include "walrelay/engine/retry_policy.hpp"
#include "walrelay/intake/arrival.hpp"
#include "walrelay/sink/factory.hpp"

namespace walrelay::relay {

namespace {

/// So long what is on the wire may end by itself.
constexpr duration natural_end = std::chrono::seconds{10};

const engine::outcome delivered{engine::outcome_class::delivered};

/// A broker that refuses a record has already taken its successors: where those of its key must
/// stay behind, one of them is in flight at a time.
bool keeps_keys_behind(const config::model& model, std::size_t sink) {
    return std::holds_alternative<config::kafka_sink>(model.sinks[sink].kind) &&
           std::any_of(model.routes.begin(), model.routes.end(), [&](const config::route& route) {
               return route.on_event_error != config::error_policy::park &&
                      std::count(route.to.begin(), route.to.end(), sink) > 0;
           });
}

/// Others are the same after a reload, and stdout may stand in a line that was torn.
bool has_options(const config::sink& one) {
    return std::holds_alternative<config::kafka_sink>(one.kind) ||
           std::holds_alternative<config::http_sink>(one.kind);
}

engine::engine_options options_of(const config::model& model, std::uint64_t seed) {
    engine::engine_options options;
    for (std::size_t index = 0; index < model.sinks.size(); ++index) {
        const bool http = std::holds_alternative<config::http_sink>(model.sinks[index].kind);
        const bool serial = http || keeps_keys_behind(model, index);
        options.sinks.push_back(
            {serial ? engine::lane_depth::serial : engine::lane_depth::pipelined, http});
    }
    options.in_flight_events = model.limits.in_flight_events;
    options.in_flight_bytes = model.limits.in_flight_bytes;
    options.replay_events = model.limits.replay_events;
    options.seed = seed;
    options.hold = model.limits.hold;
    options.retries = {model.retry.max_attempts, model.retry.max_age};
    return options;
}

}  // namespace

std::string event_name::text() const {
    std::string text = "table " + table + ", id " + id + ", LSN " + to_string(commit_lsn);
    if (!key.empty()) text += ", key " + key;
    if (!destination.empty()) text += ", to " + destination;
    return text;
}

dispatcher::dispatcher(boost::asio::io_context& loop, const config::model& model,
                       std::uint64_t seed, std::function<void()> changed)
    : loop_{loop},
      model_{model},
      seed_{seed},
      changed_{std::move(changed)},
      engine_{std::in_place, options_of(model, seed)},
      counters_{model.sinks.size()} {}

result<dispatcher::sinks> dispatcher::make_sinks(const config::model& model) {
    sinks all;
    for (std::size_t index = 0; index < model.sinks.size(); ++index) {
        auto made = sink::make(loop_, model.sinks[index], index, model.limits, *this);
        if (!made) {
            discard(std::move(all));
            return made.error();
        }
        const auto order = (*made)->order();
        if ((order == sink::ordering::serial) !=
            std::holds_alternative<config::http_sink>(model.sinks[index].kind)) {
            throw std::logic_error{"a sink keeps order in another way than the engine was told"};
        }
        all.push_back(std::move(*made));
    }
    return all;
}

void dispatcher::replace_sinks(sinks fresh, time_point now) {
    if (!successors_.empty()) discard(std::exchange(successors_, {}));
    for (std::size_t index = 0; index < fresh.size(); ++index) {
        if (!has_options(model_.sinks[index])) {
            fresh[index].reset();
        } else if (sinks_[index]->order() == sink::ordering::serial) {
            put_in_place(index, std::move(fresh[index]), now);
        }
    }
    successors_ = std::move(fresh);
    successors_wait_until_ = now + natural_end;
}

void dispatcher::put_in_place(std::size_t index, std::unique_ptr<sink::sink> fresh,
                              time_point now) {
    retired_.emplace_back(index, std::exchange(sinks_[index], std::move(fresh)));
    counters_[index].notice.clear();
    engine_->probe_now(index, now);
}

void dispatcher::change_over(time_point now) {
    std::size_t left = 0;
    for (std::size_t index = 0; index < successors_.size(); ++index) {
        if (!successors_[index]) continue;
        if (!sinks_[index]->at_rest()) {
            ++left;
            if (now >= successors_wait_until_) sinks_[index]->purge();
        } else {
            put_in_place(index, std::move(successors_[index]), now);
        }
    }
    if (left == 0) successors_.clear();
    if (now >= successors_wait_until_) successors_wait_until_ = never;
    std::erase_if(retired_, [this](auto& one) {
        if (!one.second->at_rest()) return false;
        bury(one.first, std::move(one.second));
        return true;
    });
}

/// Its destructor has nothing to wait for then, if nothing is on the wire.
void dispatcher::retire(std::size_t index, sink::sink& old) {
    if (!old.at_rest()) return;
    std::shared_ptr<void> slow = old.retire();
    if (!slow) return;
    undertakers_.resize(std::max(undertakers_.size(), index + 1));
    std::jthread& last = undertakers_[index];  // its end is awaited there, not here
    last = std::jthread{[before = std::move(last), slow = std::move(slow)]() mutable {
        slow.reset();
        if (before.joinable()) before.join();
    }};
}

/// Whoever calls may stand in a call of that sink to its listener.
void dispatcher::bury(std::size_t index, std::unique_ptr<sink::sink> old) {
    retire(index, *old);
    boost::asio::post(loop_, [old = std::move(old)] {});
}

void dispatcher::begin_anew(sinks fresh) {
    discard(std::exchange(successors_, {}));
    // At once, as no outcome of an old attempt may reach the new engine; and before the events, as
    // bodies lie in them.
    for (std::size_t index = 0; index < fresh.size(); ++index) {
        if (!has_options(model_.sinks[index])) continue;
        retire(index, *sinks_[index]);
        sinks_[index] = std::move(fresh[index]);
        counters_[index].notice.clear();
    }
    retired_.clear();
    engine_.emplace(options_of(model_, seed_));
    store_.clear();
}

void dispatcher::discard(sinks unused) {
    for (std::size_t index = 0; index < unused.size(); ++index) {
        if (unused[index]) bury(index, std::move(unused[index]));
    }
}

void dispatcher::pump(time_point now) {
    if (replaces_sinks()) change_over(now);
    if (sending_) {
        for (std::size_t index = 0; index < sinks_.size(); ++index)
            pump_sink(index, now);
    }
    free_released();
    for (std::size_t index = 0; index < counters_.size(); ++index) {
        // What the store brought waits for its own key, and holds nothing up. Nobody looks while
        // nothing happens: what has just come has not waited since the last look.
        const bool waits = engine_->sink(index).from_stream() > 0;
        sink_counters& count = counters_[index];
        if (!waits || !count.waits) count.moved_at = now;
        count.waits = waits;
    }
}

bool dispatcher::moves(time_point now, duration limit) const noexcept {
    return std::all_of(counters_.begin(), counters_.end(), [&](const sink_counters& one) {
        return !one.waits || now - one.moved_at <= limit;
    });
}

void dispatcher::pump_sink(std::size_t index, time_point now) {
    engine::outcome refusal;
    while (true) {
        const bool waits = !successors_.empty() && successors_[index];
        const bool room = !waits && sinks_[index]->has_room();
        engine_->set_room(index, room);
        if (!room) return;
        const auto next = engine_->next(index, now);
        if (!next) return;
        const intake::stored_event& stored = store_.at(next->event);
        if (const auto wrong = intake::size_fault(stored.bytes, model_.limits.event_bytes)) {
            ended(index, next->token, {engine::outcome_class::event_final, *wrong}, now);
            continue;
        }
        const auto built =
            stored.plan->build(stored.row, stored.route, index, stored.position, epoch_, record_);
        record_.redriven = stored.redriven;
        if (!built) {
            ended(index, next->token, {engine::outcome_class::event_final, built.error().text()},
                  now);
            continue;
        }
        switch (sinks_[index]->send(next->token, next->number, record_, refusal)) {
            case sink::admission::pending:
                break;
            case sink::admission::delivered:
                ended(index, next->token, delivered, now);
                break;
            case sink::admission::full:
                engine_->sent_back(next->token);
                return;
            case sink::admission::refused:
                ended(index, next->token, refusal, now);
                break;
        }
    }
}

void dispatcher::ended(std::size_t sink, engine::attempt_token token,
                       const engine::outcome& outcome, time_point now) {
    sink_counters& count = counters_[sink];
    switch (outcome.what) {
        case engine::outcome_class::delivered:
            ++count.delivered;
            count.moved_at = now;
            break;
        case engine::outcome_class::transient:
            ++count.transient;
            break;
        case engine::outcome_class::target:
            ++count.target;
            break;
        case engine::outcome_class::endpoint:
            ++count.endpoint;
            break;
        case engine::outcome_class::event:
        case engine::outcome_class::event_final:
        case engine::outcome_class::batch:
            ++count.event;
            break;
        case engine::outcome_class::unknown:
            ++count.unknown;
            break;
    }
    engine_->attempt_ended(token, outcome, now);
}

void dispatcher::free_released() {
    const std::span<const engine::event_slot> released = engine_->take_released();
    for (std::size_t i = 0; i < released.size(); ++i) {
        if (i + 1 < released.size()) store_.prefetch(released[i + 1]);
        store_.release(released[i]);
    }
}

void dispatcher::stream_lost() {
    stop_sending();
    engine_->stream_lost();
    for (sink_counters& count : counters_)
        count.waits = false;
    for (const auto& one : sinks_)
        one->purge();
    for (const auto& [index, one] : retired_)
        one->purge();
    free_released();
}

event_name dispatcher::name_of(engine::event_slot slot, std::size_t sink) const {
    const intake::stored_event& stored = store_.at(slot);
    event_name name;
    name.commit_lsn = stored.position.commit_lsn;
    if (!stored.plan) return name;
    name.table = printable(stored.plan->table());
    name.id = printable(stored.plan->id_of(stored.row, stored.position));
    event::record built;
    if (sink < counters_.size() &&
        stored.plan->build(stored.row, stored.route, sink, stored.position, epoch_, built)) {
        if (built.key) name.key = printable(*built.key);
        name.destination = printable(built.destination);
    }
    return name;
}

void dispatcher::on_outcome(std::size_t sink, engine::attempt_token token,
                            engine::outcome&& outcome) {
    ended(sink, token, outcome, std::chrono::steady_clock::now());
}

void dispatcher::on_delivered(std::size_t sink, std::span<const engine::attempt_token> tokens) {
    constexpr std::size_t ahead = 4;
    const time_point now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (i + ahead < tokens.size()) engine_->prefetch_outcome(tokens[i + ahead]);
        ended(sink, tokens[i], delivered, now);
    }
}

void dispatcher::settled(std::size_t) {
    free_released();
    changed_();
}

void dispatcher::on_notice(std::size_t sink, std::string notice) {
    const std::string& name = model_.sinks[sink].name;
    if (notice == counters_[sink].notice) return;
    if (notice.empty()) {
        spdlog::info("sink {}: works again", name);
    } else {
        spdlog::warn("sink {}: {}", name, notice);
    }
    counters_[sink].notice = std::move(notice);
}

}  // namespace walrelay::relay
