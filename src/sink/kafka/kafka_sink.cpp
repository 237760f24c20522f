#include "kafka_sink.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "error_class.hpp"
#include "make.hpp"
#include "record_headers.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::sink::kafka {

namespace {

using engine::outcome_class;

constexpr std::size_t longest_text = 400;
constexpr std::size_t smallest_batch_bytes = 16 * 1024;
/// A record that is being sent again just when a purge comes may be missed by it.
constexpr std::chrono::seconds purge_period{1};
/// How long records wait under a trouble that may be over before it is shown.
constexpr std::chrono::seconds stale_trouble{1};
constexpr std::chrono::milliseconds first_reopen_wait{100};
constexpr std::chrono::milliseconds longest_reopen_wait{2'000};

admission refuse(engine::outcome& refusal, std::string why) {
    refusal = {.what = outcome_class::event_final, .reason = std::move(why)};
    return admission::refused;
}

/// "host:port" of librdkafka's "host:port/1: Connect failed".
std::string_view broker_of(std::string_view text) {
    const auto name = text.substr(0, text.find(": "));
    return name.substr(0, name.rfind('/'));
}

}  // namespace

kafka_sink::kafka_sink(boost::asio::io_context& loop, const config::kafka_sink& entry,
                       std::string name, std::size_t index, kafka::settings with, listener& events)
    : loop_(loop),
      brokers_(entry.brokers),
      name_(std::move(name)),
      metadata_(entry.metadata),
      index_(index),
      settings_(std::move(with)),
      events_(events),
      window_(settings_.linger),
      window_timer_(loop),
      stale_timer_(loop),
      phase_timer_(loop) {}

result<void> kafka_sink::start() {
    auto opened = client::open(loop_, *settings_.conf, batch_bytes_, name_, *this);
    if (!opened) return opened.error();
    client_ = std::move(*opened);
    return {};
}

std::size_t kafka_sink::in_flight() const noexcept {
    return client_ ? client_->pending() : 0;
}

bool kafka_sink::at_rest() const noexcept {
    return !client_ || (client_->pending() == 0 && !client_->purging());
}

std::shared_ptr<void> kafka_sink::retire() {
    alive_.reset();  // handlers that are queued in the loop find nobody
    phase_ = phase::replacing;
    if (!client_) return std::make_shared<std::jthread>(std::move(undertaker_));
    std::shared_ptr<void> producer = client_->release();
    client_.reset();
    return producer;
}

/// Binds a handler to this object's life: a timer or a post may fire when the sink is gone.
template <class Handler>
auto kafka_sink::while_alive(Handler handler) {
    return [handler = std::move(handler), alive = std::weak_ptr(alive_)](auto&&... arguments) {
        if (!alive.expired()) handler(std::forward<decltype(arguments)>(arguments)...);
    };
}

bool kafka_sink::has_room() {
    if (phase_ == phase::open &&
        window_.open(produce_window::clock::now(), client_->pending() == 0)) {
        return true;
    }
    asked_for_room_ = true;
    if (phase_ == phase::open) tell_when_window_opens();
    return false;
}

/// Reports tell it earlier, if they come.
void kafka_sink::tell_when_window_opens() {
    if (std::exchange(window_timer_runs_, true)) return;
    window_timer_.expires_at(window_.reopens());
    window_timer_.async_wait(while_alive([this](const boost::system::error_code&) {
        window_timer_runs_ = false;
        if (phase_ == phase::open && std::exchange(asked_for_room_, false)) events_.settled(index_);
    }));
}

admission kafka_sink::send(engine::attempt_token token, std::uint32_t /*attempt*/,
                           const event::record& record, engine::outcome& refusal) {
    if (phase_ != phase::open) return wait_for_room();
    std::string fault;
    rd_kafka_topic_t* topic = client_->topic(record.destination, fault);
    if (!topic) return refuse(refusal, std::move(fault));
    if (auto wrong = record_fault(record)) return refuse(refusal, std::move(*wrong));
    const auto code = client_->produce(topic, token, record, make_headers(record, metadata_));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return not_taken(code, record, refusal);
    if (trouble_.any()) watch_stale_trouble();
    return admission::pending;
}

admission kafka_sink::not_taken(rd_kafka_resp_err_t code, const event::record& record,
                                engine::outcome& refusal) {
    const std::size_t bytes = (record.key ? record.key->size() : 0) +
                              (record.body ? record.body->size() : 0) +
                              headers_bytes(record, metadata_);
    const auto too_large = [&](const char* limit, std::size_t limit_bytes) {
        return refuse(refusal, too_large_text(bytes, limit, limit_bytes));
    };
    switch (static_cast<int>(code)) {
        case RD_KAFKA_RESP_ERR__QUEUE_FULL:
            if (client_->queue_in_use()) return wait_for_room();
            return too_large("queue.buffering.max.kbytes", settings_.queue_max_bytes);
        case RD_KAFKA_RESP_ERR__FATAL:
            // Not here: what follows may tell the listener, who is the caller.
            boost::asio::post(loop_, while_alive([this] {
                                  client_is_dead();
                                  on_turn_end();
                              }));
            return wait_for_room();
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
            return too_large("message.max.bytes", settings_.message_max_bytes);
        default:
            break;
    }
    refusal = classify(code, record.destination);
    if (code == RD_KAFKA_RESP_ERR__INVALID_ARG) refusal.what = outcome_class::event_final;
    return admission::refused;
}

admission kafka_sink::wait_for_room() noexcept {
    asked_for_room_ = true;
    return admission::full;
}

void kafka_sink::on_reports(std::span<const rd_kafka_message_t* const> reports) {
    reported_ = true;
    std::array<engine::attempt_token, client::reports_at_once> delivered;
    std::size_t count = 0;
    const auto tell_delivered = [&] {
        if (count == 0) return;
        if (trouble_.any()) trouble_.over();
        deaths_ = 0;
        events_.on_delivered(index_, {delivered.data(), std::exchange(count, 0)});
    };
    for (const rd_kafka_message_t* report : reports) {
        const auto token = engine::attempt_token::unpack(
            static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(report->_private)));
        if (report->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            delivered[count++] = token;
            continue;
        }
        tell_delivered();  // outcomes are told in the order of the reports
        tell_failure(*report, token);
    }
    tell_delivered();
}

void kafka_sink::tell_failure(const rd_kafka_message_t& report, engine::attempt_token token) {
    const bool given_up = report.err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                          report.err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    engine::outcome outcome = given_up && phase_ == phase::dying
                                  ? purged_by_fatal_error()
                                  : classify(report.err, rd_kafka_topic_name(report.rkt));
    if (outcome.what == outcome_class::batch) explain_size(report, outcome);
    events_.on_outcome(index_, token, std::move(outcome));
}

void kafka_sink::explain_size(const rd_kafka_message_t& report, engine::outcome& outcome) {
    outcome.reason += ", record of " + std::to_string(report.len + report.key_len) + " bytes";
    if (report.err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) return;
    const char* topic = rd_kafka_topic_name(report.rkt);
    const auto [limit, first] = topic_limits_.try_emplace(topic, 0);
    if (limit->second > 0) {
        outcome.reason += ", max.message.bytes of the topic is " + std::to_string(limit->second);
    }
    // Known limits are asked for again, once a turn at most: somebody may have changed them.
    if (first || !std::exchange(limit_asked_in_turn_, true)) client_->ask_limit(topic);
}

/// Batches that a topic never takes would be refused for ever, and their records sent one by one.
/// batch.size holds for all topics: one with a tiny limit must not slow down the others.
void kafka_sink::on_topic_limit(std::string_view topic, std::size_t bytes) {
    if (const auto found = topic_limits_.find(topic); found != topic_limits_.end())
        found->second = bytes;
    const std::size_t wanted = std::max(bytes, smallest_batch_bytes);
    if (wanted >= (batch_bytes_ > 0 ? batch_bytes_ : settings_.batch_bytes)) return;
    batch_bytes_ = wanted;
    if (phase_ == phase::open || phase_ == phase::draining) phase_ = phase::retiring;
}

/// Where the broker lets nobody produce, the records that a fatal error swept away are no outage.
engine::outcome kafka_sink::purged_by_fatal_error() const {
    const bool configuration = class_of(fatal_code_) == outcome_class::endpoint;
    return {.what = configuration ? outcome_class::endpoint : outcome_class::transient,
            .reason = "the Kafka producer failed: " + fatal_text_};
}

void kafka_sink::on_error(rd_kafka_resp_err_t code, std::string_view text) {
    const std::string safe = broker_text(text, longest_text);
    // A fatal error comes under its own code.
    if (client_->is_dead()) {
        client_is_dead();
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (trouble_.any()) return;  // it says more, as "authentication failed" does
        no_broker_answers(broker_cause_.empty() ? safe : broker_cause_);
    } else if (const auto what = class_of(code);
               what == outcome_class::endpoint || what == outcome_class::unknown) {
        broker_cause_ = safe;
        something_is_wrong(error_text(code) + ": " + safe);
    } else {
        broker_cause_ = safe;  // one broker of several: the others go on
        if (trouble_.any() && broker_of(safe) == unreachable_) no_broker_answers(safe);
    }
}

void kafka_sink::something_is_wrong(std::string text) {
    unreachable_.clear();
    trouble_.happened(std::move(text));
}

/// Told of them all once, and then of each: of the one that is quoted the newest counts. It hung up
/// first, and librdkafka guessed why; then it refuses connections.
void kafka_sink::no_broker_answers(const std::string& cause) {
    trouble_.happened("no broker of " + brokers_ + " reachable: " + cause);
    unreachable_ = broker_of(cause);
}

/// "[thrd:main]: Topic orders partition count changed from 2 to 8", told once.
void kafka_sink::on_partitions_changed(std::string_view text) {
    const auto at = text.find("opic ");
    if (at == std::string_view::npos || text.ends_with(" to 0")) return;  // 0: it was deleted
    events_.on_notice(index_, "t" + printable(text.substr(at), longest_text) +
                                  ": keys go to other partitions from here on");
    trouble_.talked_over();
}

void kafka_sink::on_turn_end() {
    const bool reported = std::exchange(reported_, false);
    limit_asked_in_turn_ = false;
    const bool drained = !client_ || (client_->pending() == 0 && !client_->purging());
    if (phase_ == phase::draining && drained) {
        phase_timer_.cancel();
        phase_ = phase::open;
    } else if ((phase_ == phase::dying || phase_ == phase::retiring) && drained && client_) {
        replace();
    }
    show_trouble();
    // Who was told `full` waits for reports; where none are to come, there is room.
    const bool open = phase_ == phase::open;
    const bool room = open && asked_for_room_ && client_ && !client_->queue_in_use();
    if (!reported && !room) return;
    if (open) asked_for_room_ = false;
    events_.settled(index_);
}

void kafka_sink::client_is_dead() {
    if (phase_ == phase::dying || phase_ == phase::replacing) return;
    fatal_code_ = client_->fatal_error(fatal_text_);
    fatal_text_ = error_text(fatal_code_) + ": " + printable(fatal_text_, longest_text);
    something_is_wrong("the Kafka producer failed and is made anew: " + fatal_text_);
    phase_ = phase::dying;
    drain();
}

void kafka_sink::purge() {
    if (in_flight() == 0 || phase_ == phase::draining || phase_ == phase::dying) return;
    if (phase_ == phase::open) phase_ = phase::draining;
    drain();
}

void kafka_sink::drain() {
    client_->purge();
    purge_again();
}

void kafka_sink::purge_again() {
    phase_timer_.expires_after(purge_period);
    phase_timer_.async_wait(while_alive([this](const boost::system::error_code& cancelled) {
        if (cancelled || !client_) return;
        if (phase_ != phase::open) drain();
    }));
}

void kafka_sink::replace() {
    phase_timer_.cancel();
    phase_ = phase::replacing;
    ++deaths_;
    producer_ptr old = client_->release();
    client_.reset();
    // rd_kafka_destroy joins librdkafka's threads, and one may be looking up a name: not on the
    // loop.
    auto ended = while_alive([this] { reopen_later(); });
    undertaker_ =
        std::jthread([old = std::move(old), ended = std::move(ended), &loop = loop_]() mutable {
            old.reset();
            boost::asio::post(loop, std::move(ended));
        });
}

void kafka_sink::reopen_later() {
    const auto doublings = std::min<std::uint32_t>(deaths_ - 1, 10);
    const auto wait = std::min(first_reopen_wait * (1U << doublings), longest_reopen_wait);
    phase_timer_.expires_after(wait);
    phase_timer_.async_wait(while_alive([this](const boost::system::error_code& cancelled) {
        if (!cancelled && phase_ == phase::replacing) reopen();
    }));
}

void kafka_sink::reopen() {
    if (auto started = start(); !started) {
        ++deaths_;
        something_is_wrong(started.error().text());
        show_trouble();
        reopen_later();
        return;
    }
    phase_ = phase::open;
    on_turn_end();
}

void kafka_sink::show_trouble() {
    if (auto notice = trouble_.notice(in_flight() > 0 || asked_for_room_)) {
        events_.on_notice(index_, std::move(*notice));
    }
}

/// A trouble of an idle time may be over since: the record that was just sent will tell.
void kafka_sink::watch_stale_trouble() {
    if (stale_timer_runs_) return;
    stale_timer_runs_ = true;
    stale_timer_.expires_after(stale_trouble);
    stale_timer_.async_wait(while_alive([this](const boost::system::error_code&) {
        stale_timer_runs_ = false;
        show_trouble();
    }));
}

}  // namespace walrelay::sink::kafka

namespace walrelay::sink {

result<std::unique_ptr<sink>> make_kafka(boost::asio::io_context& loop,
                                         const config::kafka_sink& entry, const std::string& name,
                                         std::size_t index, const config::limits& limits,
                                         listener& events) {
    auto with = kafka::make_settings(entry, name, limits);
    if (!with) return with.error();
    auto made =
        std::make_unique<kafka::kafka_sink>(loop, entry, name, index, std::move(*with), events);
    if (auto started = made->start(); !started) return started.error();
    return std::unique_ptr<sink>(std::move(made));
}

}  // namespace walrelay::sink
