#include "http_sink.hpp"

#include <algorithm>
#include <utility>

namespace walrelay::sink::http {

http_sink::http_sink(boost::asio::io_context& loop, const origin& where,
                     connection_settings settings, request_writer writer,
                     std::size_t limit_connections, const config::request_rate& rate,
                     std::size_t index, listener& events)
    : settings_{std::move(settings)},
      lookup_{loop, where},
      writer_{std::move(writer)},
      limit_connections_{limit_connections},
      index_{index},
      listener_{events},
      tokens_{rate},
      timer_{loop},
      self_{std::make_shared<http_sink*>(this)} {}

http_sink::~http_sink() = default;

bool http_sink::has_room() {
    const bool room =
        !idle_.empty() || !closed_.empty() || connections_.size() < limit_connections_;
    was_full_ = was_full_ || !room;
    return room && has_token();
}

/// Without a token, settled() comes when there is one.
bool http_sink::has_token() {
    if (tokens_.ready(std::chrono::steady_clock::now())) return true;
    token_due_ = tokens_.ready_at();
    on_deadline(token_due_);
    return false;
}

admission http_sink::send(engine::attempt_token token, std::uint32_t attempt,
                          const event::record& record, engine::outcome& refusal) {
    if (!has_token()) return admission::full;
    connection* const chosen = take_free();
    if (chosen == nullptr) {
        was_full_ = true;
        return admission::full;
    }
    if (!writer_.write(chosen->head(), record, attempt, std::chrono::system_clock::now(),
                       refusal)) {
        put_back(*chosen);
        return admission::refused;
    }
    ++in_flight_;
    const auto now = std::chrono::steady_clock::now();
    tokens_.take(now);
    chosen->begin(token, record.body.value_or(std::string_view{}), record.body_in_frame, now);
    return admission::pending;
}

void http_sink::purge() {
    const time_point now = std::chrono::steady_clock::now();
    for (const auto& each : connections_)
        each->call_off(now);
}

/// An idle connection that still looks alive, else a closed one, else none.
connection* http_sink::take_free() {
    while (!idle_.empty()) {
        connection* const candidate = idle_.back();
        if (candidate->usable(std::chrono::steady_clock::now())) {
            idle_.pop_back();
            return candidate;
        }
        candidate->discard();  // moves it to closed_
    }
    if (closed_.empty()) {
        if (connections_.size() == limit_connections_) return nullptr;
        connection::owner& self = *this;
        connections_.push_back(std::make_unique<connection>(settings_, lookup_, self));
        return connections_.back().get();
    }
    connection* const chosen = closed_.back();
    closed_.pop_back();
    return chosen;
}

void http_sink::put_back(connection& which) {
    (which.idle() ? idle_ : closed_).push_back(&which);
}

void http_sink::on_repeat() {
    tokens_.take(std::chrono::steady_clock::now());
}

void http_sink::on_outcome(connection& which, engine::outcome&& outcome) {
    --in_flight_;
    if (which.free()) put_back(which);
    was_full_ = was_full_ && !which.free();
    listener_.on_outcome(index_, which.token(), std::move(outcome));
    listener_.settled(index_);
}

void http_sink::on_free(connection& which) {
    put_back(which);
    if (std::exchange(was_full_, false)) listener_.settled(index_);
}

void http_sink::on_lapsed(connection& which) {
    std::erase(idle_, &which);
    closed_.push_back(&which);
}

void http_sink::on_deadline(time_point when) {
    if (when >= armed_for_) return;
    armed_for_ = when;
    timer_.expires_at(when);
    const std::weak_ptr<http_sink*> weak = self_;
    timer_.async_wait([weak](const boost::system::error_code& failure) {
        const auto self = weak.lock();
        if (!failure && self) (*self)->expire_due();
    });
}

void http_sink::expire_due() {
    armed_for_ = never;
    const time_point now = std::chrono::steady_clock::now();
    // By index: the listener may send, and that may add a connection.
    for (std::size_t i = 0; i < connections_.size(); ++i) {
        if (connections_[i]->deadline() <= now) connections_[i]->expire(now);
    }
    if (token_due_ <= now) {
        token_due_ = never;
        listener_.settled(index_);
    }
    time_point earliest = token_due_;
    for (const auto& each : connections_)
        earliest = std::min(earliest, each->deadline());
    if (earliest != never) on_deadline(earliest);
}

}  // namespace walrelay::sink::http
