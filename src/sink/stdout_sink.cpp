#include "stdout_sink.hpp"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

#include "walrelay/sink/event_line.hpp"

namespace walrelay::sink {

namespace {

/// Lines that wait for the reader; then the sink is full.
constexpr std::size_t limit_buffer_bytes = 1 << 20;

}  // namespace

stdout_sink::stdout_sink(boost::asio::io_context& loop, std::string name, std::size_t index,
                         listener& events, int descriptor)
    : loop_{loop},
      name_{std::move(name)},
      index_{index},
      listener_{events},
      out_{descriptor},
      timer_{loop},
      self_{std::make_shared<stdout_sink*>(this)} {}

stdout_sink::~stdout_sink() = default;

bool stdout_sink::has_room() {
    return out_.waiting_bytes() < limit_buffer_bytes;
}

admission stdout_sink::send(engine::attempt_token token, std::uint32_t, const event::record& record,
                            engine::outcome&) {
    if (!has_room()) return admission::full;
    if (std::exchange(torn_, false)) out_.waiting() += '\n';
    append_line(out_.waiting(), record, name_);
    waiting_.push_back({token, out_.appended()});
    schedule();
    return admission::pending;
}

void stdout_sink::schedule() {
    if (std::exchange(scheduled_, true)) return;
    boost::asio::post(loop_, [weak = std::weak_ptr<stdout_sink*>{self_}] {
        if (const auto self = weak.lock()) (*self)->flush();
    });
}

void stdout_sink::retry_later() {
    scheduled_ = true;
    timer_.expires_after(outlet::look_again);
    timer_.async_wait(
        [weak = std::weak_ptr<stdout_sink*>{self_}](const boost::system::error_code& failure) {
            const auto self = weak.lock();
            if (!failure && self) (*self)->flush();
        });
}

void stdout_sink::flush() {
    scheduled_ = false;
    const outlet::progress made = out_.write_out();
    const int cause = errno;
    const std::uint64_t reached = out_.reached();
    if (made == outlet::progress::blocked) retry_later();

    bool told = false;
    while (!waiting_.empty() && waiting_.front().end <= reached) {
        const auto token = waiting_.front().token;
        waiting_.pop_front();
        engine::outcome outcome;
        outcome.what = engine::outcome_class::delivered;
        listener_.on_outcome(index_, token, std::move(outcome));
        told = true;
    }
    if (made == outlet::progress::failed) {
        fail_all(cause);
        told = true;
    }
    if (told) listener_.settled(index_);
}

void stdout_sink::fail_all(int cause) {
    // Only a full disk and its like pass by themselves; a reader that left does not come back.
    const bool passes = cause == ENOSPC || cause == EDQUOT || cause == EIO || cause == ENOMEM;
    const std::string reason = "write to stdout: " + std::generic_category().message(cause);
    torn_ = out_.give_up();
    for (const line& given_up : std::exchange(waiting_, {})) {
        engine::outcome outcome;
        outcome.what = passes ? engine::outcome_class::transient : engine::outcome_class::endpoint;
        outcome.reason = reason;
        listener_.on_outcome(index_, given_up.token, std::move(outcome));
    }
}

}  // namespace walrelay::sink
