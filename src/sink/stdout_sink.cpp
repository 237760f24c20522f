#include "stdout_sink.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <system_error>
#include <utility>

#include "stdout_line.hpp"

namespace walrelay::sink {

namespace {

/// Lines that wait for the reader; then the sink is full.
constexpr std::size_t limit_buffer_bytes = 1 << 20;
/// How often a reader that takes nothing is looked at. epoll(7) would need a descriptor that does
/// not block, and O_NONBLOCK is shared with everybody who has the same terminal or pipe.
constexpr std::chrono::milliseconds wait_for_reader{2};

bool is_regular_file(int descriptor) noexcept {
    struct stat status {};

    return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

/// A pipe whose reader has gone must be an outcome, not the end of the process.
void outlive_closed_pipes() noexcept {
    struct sigaction now {};

    if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL)
        std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

stdout_sink::stdout_sink(boost::asio::io_context& loop, std::string name, std::size_t index,
                         listener& events, int descriptor)
    : loop_{loop},
      name_{std::move(name)},
      index_{index},
      listener_{events},
      descriptor_{descriptor},
      is_file_{is_regular_file(descriptor)},
      timer_{loop},
      self_{std::make_shared<stdout_sink*>(this)} {
    outlive_closed_pipes();
}

stdout_sink::~stdout_sink() = default;

admission stdout_sink::send(engine::attempt_token token, std::uint32_t, const event::record& record,
                            engine::outcome&) {
    if (buffer_.size() - written_ >= limit_buffer_bytes) return admission::full;
    if (std::exchange(torn_, false)) buffer_ += '\n';
    append_line(buffer_, record, name_);
    waiting_.push_back({token, flushed_ + buffer_.size()});
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
    timer_.expires_after(wait_for_reader);
    timer_.async_wait(
        [weak = std::weak_ptr<stdout_sink*>{self_}](const boost::system::error_code& failure) {
            const auto self = weak.lock();
            if (!failure && self) (*self)->flush();
        });
}

void stdout_sink::flush() {
    scheduled_ = false;
    const progress made = write_out();
    const int cause = errno;
    const std::uint64_t reached = flushed_ + written_;
    if (written_ == buffer_.size()) {
        flushed_ = reached;
        buffer_.clear();
        written_ = 0;
    }
    if (made == progress::blocked) retry_later();

    bool told = false;
    while (!waiting_.empty() && waiting_.front().end <= reached) {
        const auto token = waiting_.front().token;
        waiting_.pop_front();
        engine::outcome outcome;
        outcome.what = engine::outcome_class::delivered;
        listener_.on_outcome(index_, token, std::move(outcome));
        told = true;
    }
    if (made == progress::failed) {
        fail_all(cause);
        told = true;
    }
    if (told) listener_.settled(index_);
}

/// As much as goes without waiting. poll(2) promises PIPE_BUF bytes of a pipe and no more.
stdout_sink::progress stdout_sink::write_out() {
    while (written_ < buffer_.size()) {
        const std::size_t left = buffer_.size() - written_;
        std::size_t size = left;
        if (!is_file_) {
            pollfd reader{descriptor_, POLLOUT, 0};
            const int ready = ::poll(&reader, 1, 0);
            if (ready == 0 || (ready < 0 && errno == EINTR)) return progress::blocked;
            size = std::min<std::size_t>(left, PIPE_BUF);
        }
        const ssize_t wrote = ::write(descriptor_, buffer_.data() + written_, size);
        if (wrote < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return progress::blocked;
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return progress::failed;
        written_ += static_cast<std::size_t>(wrote);
    }
    return progress::all;
}

void stdout_sink::fail_all(int cause) {
    // Only a full disk and its like pass by themselves; a reader that left does not come back.
    const bool passes = cause == ENOSPC || cause == EDQUOT || cause == EIO || cause == ENOMEM;
    const std::string reason = "write to stdout: " + std::generic_category().message(cause);
    torn_ = written_ > 0 && buffer_[written_ - 1] != '\n';
    flushed_ += buffer_.size();
    buffer_.clear();
    written_ = 0;
    for (const line& given_up : std::exchange(waiting_, {})) {
        engine::outcome outcome;
        outcome.what = passes ? engine::outcome_class::transient : engine::outcome_class::endpoint;
        outcome.reason = reason;
        listener_.on_outcome(index_, given_up.token, std::move(outcome));
    }
}

}  // namespace walrelay::sink
