#include "connection.hpp"

#include <algorithm>
#include <utility>

#include "status_outcome.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::sink::http {

namespace {

using namespace std::chrono_literals;
using engine::outcome_class;

/// All addresses of the host together.
constexpr auto limit_connect = 5s;
/// The first look at each of several addresses, as long as none is known to answer: one that
/// swallows connections must not hold up those that work.
constexpr auto limit_first_look = 500ms;
constexpr auto shortest_second_look = 2s;
/// What servers allow at least (nginx and others 60 s and more, Node 5 s) when they say nothing.
constexpr auto usual_idle = 4s;
constexpr auto longest_idle = 60s;
/// A name may point elsewhere by now, and a balancer wants to spread its clients.
constexpr auto longest_life = 5min;
/// Younger than this, the socket was read to its end a moment ago: looking again costs more than it
/// finds.
constexpr auto fresh_enough = 1ms;
/// An answer's body is read so that the connection can be used again, not for what it says.
constexpr std::uint64_t limit_drain_bytes = 64 * 1024;
constexpr auto limit_drain = 1s;
/// 100, 102 and 103 before the answer; without an end they would keep the loop busy.
constexpr int limit_interim_answers = 100;
constexpr std::size_t limit_kept_bytes = 64 * 1024;

time_point now() {
    return std::chrono::steady_clock::now();
}

std::string seconds(std::chrono::milliseconds span) {
    return span % 1s == 0ms ? std::to_string(span / 1s) + " s"
                            : std::to_string(span.count()) + " ms";
}

}  // namespace

connection::connection(connection_settings& settings, name_lookup& lookup, owner& who)
    : settings_{settings}, lookup_{lookup}, owner_{who} {}

connection::~connection() {
    drop();
}

void connection::begin(engine::attempt_token token, std::string_view body, bool body_stays,
                       time_point now) {
    token_ = token;
    body_ = body;
    if (!body_stays && !body.empty()) {
        body_copy_.assign(body);
        body_ = body_copy_;
    }
    attempt_ends_ = now + settings_.timeout;
    called_off_ = false;
    if (state_ != state::idle) return start_fresh(now);
    reused_ = true;
    send();
}

/// A new transport for this attempt: the first, or in place of one that the server had given up.
void connection::start_fresh(time_point now) {
    drop();
    reused_ = false;
    connect_ends_ = std::min(now + limit_connect, attempt_ends_);
    if (!lookup_.literal().empty()) {
        addresses_ = lookup_.literal();
        return connect_to_all(now);
    }
    state_ = state::resolving;
    set_deadline(connect_ends_);
    lookup_.join(*this);
}

void connection::on_addresses(const boost::system::error_code& failure,
                              const name_lookup::endpoints& found) {
    if (failure || found.empty()) {
        return fail(outcome_class::transient, "resolve " + settings_.server + ": " +
                                                  (failure ? failure.message() : "no address"));
    }
    if (called_off_)
        return fail(outcome_class::transient, "resolve " + settings_.server + ": too late");
    addresses_ = found;
    connect_to_all(now());
}

void connection::connect_to_all(time_point now) {
    bool known = false;
    if (settings_.answered) {
        const auto best = std::find(addresses_.begin(), addresses_.end(), *settings_.answered);
        known = best != addresses_.end();
        if (known) std::rotate(addresses_.begin(), best, best + 1);
    }
    first_looks_ = known || addresses_.size() == 1 ? 0 : addresses_.size();
    next_address_ = 0;
    connect_next(now);
}

void connection::connect_next(time_point now) {
    state_ = state::connecting;
    const auto left = static_cast<duration::rep>(addresses_.size() - next_address_);
    if (first_looks_ > 0 && next_address_ == first_looks_) {
        const auto turn = static_cast<duration::rep>(settings_.second_looks++) % left;
        const auto first = addresses_.end() - left;
        std::rotate(first, first + turn, addresses_.end());
    }
    // A silent address may use up its share, not the time of those behind it; a slow one needs
    // some time, however many there are.
    const duration remaining = std::max(duration{0}, connect_ends_ - now);
    duration share = remaining / left;
    if (next_address_ >= first_looks_) {
        share = std::min(remaining, std::max<duration>(share, shortest_second_look));
    } else if (left > 1) {
        share = std::min<duration>(share, limit_first_look);
    }
    set_deadline(now + share);
    transport_ = settings_.make_transport(*this);
    transport_->open(addresses_[next_address_++]);
}

std::string connection::connecting_to() const {
    const auto& address = addresses_[next_address_ - 1];
    const std::string ip = address.address().to_string();
    const std::string text =
        (address.address().is_v6() ? "[" + ip + "]" : ip) + ":" + std::to_string(address.port());
    return "connect to " + (text == settings_.server ? text : settings_.server + " (" + text + ")");
}

void connection::on_open() {
    // This process may have been frozen for long: another relay may have sent this meanwhile.
    if (called_off_ || now() >= connect_ends_)
        return fail(outcome_class::transient, connecting_to() + ": too late");
    settings_.answered = addresses_[next_address_ - 1];
    opened_at_ = now();
    transport_->read();
    send();
}

void connection::send() {
    state_ = state::exchanging;
    answer_begun_ = false;
    interim_answers_ = 0;
    answer_.restart();
    set_deadline(attempt_ends_);
    transport_->write(head_, body_);
}

void connection::on_input() {
    switch (state_) {
        case state::exchanging:
            answer_begun_ = true;
            return read_answer();
        case state::draining:
            return drain();
        case state::idle:
            return discard();  // an answer that nobody asked for
        case state::closed:
        case state::resolving:
        case state::connecting:
            return;
    }
}

/// Until the head of a final answer is complete.
void connection::read_answer() {
    for (;;) {
        transport_->consume(answer_.take(transport_->input()));
        // A fault behind the head is one of the body, and does not take back what the head said:
        // whether both came in one packet must not decide the outcome.
        if (!answer_.head_done()) {
            if (answer_.fault().empty()) return transport_->read();
            return fail(outcome_class::transient, "malformed answer: " + answer_.fault());
        }
        const bool interim = answer_.status() / 100 == 1 && answer_.status() != 101;
        if (!interim) return judge();
        if (++interim_answers_ > limit_interim_answers) {
            return fail(outcome_class::transient, "malformed answer: interim answers without end");
        }
        answer_.restart();
    }
}

/// The head of the answer is there, and with it the outcome.
void connection::judge() {
    auto outcome = outcome_of({answer_.status(), answer_.retry_after(), answer_.location()},
                              settings_.success);
    const bool sent = transport_->write_state() == transport::writing::done;
    if (outcome.what == outcome_class::delivered && !sent) {
        // The server can't have taken what it has not seen. on_written() comes back here.
        if (transport_->write_state() == transport::writing::under_way) return;
        return fail(outcome_class::transient,
                    "HTTP " + std::to_string(answer_.status()) +
                        " before the request was sent, then the connection broke");
    }
    const bool reusable =
        sent && answer_.fault().empty() && answer_.keeps_connection() && answer_.status() != 101;
    if (!reusable || answer_.body_left() > limit_drain_bytes) {
        drop();
    } else if (!answer_.done()) {
        state_ = state::draining;
        set_deadline(std::min(attempt_ends_, now() + limit_drain));
        transport_->read();
    } else {
        settle_down(now());
    }
    conclude(std::move(outcome));
}

/// The rest of a body behind an outcome that was told.
void connection::drain() {
    transport_->consume(answer_.take(transport_->input()));
    if (!answer_.fault().empty() || answer_.body_taken() > limit_drain_bytes ||
        transport_->full()) {
        drop();
    } else if (!answer_.done()) {
        return transport_->read();
    } else {
        settle_down(now());
    }
    owner_.on_free(*this);
}

/// The answer is complete: idle, or closed where the connection is not fit for another attempt.
void connection::settle_down(time_point now) {
    auto idle_for = duration{usual_idle};
    if (const auto promised = answer_.idle_timeout()) {
        idle_for = std::clamp(duration{*promised - 1s}, duration{0}, duration{longest_idle});
    }
    // Left where they are they would be taken for the answer to the next request.
    const bool stray_bytes = !transport_->input().empty() || transport_->has_more();
    if (stray_bytes || idle_for == duration{0} || now >= opened_at_ + longest_life) return drop();
    state_ = state::idle;
    idle_since_ = now;
    set_deadline(now + idle_for);
    transport_->read();
}

bool connection::usable(time_point now) {
    if (now >= deadline_ || now >= opened_at_ + longest_life) return false;
    return now - idle_since_ < fresh_enough || !transport_->readable();
}

void connection::discard() {
    drop();
    owner_.on_lapsed(*this);
}

void connection::on_written() {
    if (state_ != state::exchanging) return;
    // Else the answer is still to come, or the end is, when the write failed.
    if (answer_.head_done()) judge();
}

void connection::on_broken(breakdown&& why) {
    switch (state_) {
        case state::connecting:
            if (why.what == outcome_class::transient && next_address_ < addresses_.size()) {
                drop();
                return connect_next(now());
            }
            return fail(why.what, connecting_to() + ": " + why.cause);
        case state::exchanging:
            // The usual end of an idle connection, met in the moment of its use. The server may
            // have got the request even so: the id tells it that the second is the same.
            if (reused_ && !answer_begun_ && !called_off_ && why.what == outcome_class::transient) {
                owner_.on_repeat();
                return start_fresh(now());
            }
            return fail(why.what,
                        (answer_begun_ ? "answer incomplete: " : "no answer: ") + why.cause);
        case state::draining:
            drop();
            return owner_.on_free(*this);
        case state::idle:
            return discard();
        case state::closed:
        case state::resolving:
            return;
    }
}

void connection::call_off(time_point now) {
    called_off_ = true;
    if (state_ != state::resolving && state_ != state::connecting) return;
    connect_ends_ = now;
    set_deadline(now);
}

void connection::expire(time_point now) {
    switch (state_) {
        case state::resolving:
            return fail(outcome_class::transient,
                        "resolve " + settings_.server + ": no answer from the name server");
        case state::connecting:
            if (!called_off_ && settings_.answered == addresses_[next_address_ - 1])
                settings_.answered.reset();
            // Slow and not dead, perhaps: with more time, behind the others.
            if (next_address_ <= first_looks_ && next_address_ < addresses_.size())
                addresses_.push_back(addresses_[next_address_ - 1]);
            if (next_address_ < addresses_.size() && now < connect_ends_) {
                drop();
                return connect_next(now);
            }
            return fail(outcome_class::transient, connecting_to() + ": no answer");
        case state::exchanging:
            return fail(outcome_class::transient,
                        "no complete answer within " + seconds(settings_.timeout));
        case state::draining:
            drop();
            return owner_.on_free(*this);
        case state::idle:
            return discard();
        case state::closed:
            return;
    }
}

void connection::set_deadline(time_point when) {
    deadline_ = when;
    owner_.on_deadline(when);
}

void connection::fail(outcome_class what, std::string reason) {
    drop();
    engine::outcome outcome;
    outcome.what = what;
    outcome.reason = printable(reason, 300);
    conclude(std::move(outcome));
}

/// Last of all: the owner may begin the next attempt in it.
void connection::conclude(engine::outcome&& outcome) {
    body_ = {};
    // One row of a megabyte must not cost a megabyte a connection from then on.
    if (body_copy_.capacity() > limit_kept_bytes) body_copy_ = {};
    owner_.on_outcome(*this, std::move(outcome));
}

void connection::drop() {
    if (state_ == state::resolving) lookup_.leave(*this);
    if (transport_) transport_->close();
    transport_.reset();
    state_ = state::closed;
    deadline_ = never;
}

}  // namespace walrelay::sink::http
