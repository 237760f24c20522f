#include "walrelay/sink/outlet.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>

namespace walrelay::sink {

namespace {

/// So much that was written is kept in the buffer: one that is never empty must not grow.
constexpr std::size_t most_written_bytes = 1 << 20;

bool is_regular_file(int descriptor) noexcept {
    struct stat status {};

    return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

void outlive_closed_pipes() noexcept {
    struct sigaction now {};

    if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL)
        std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

outlet::outlet(int descriptor) : descriptor_{descriptor}, is_file_{is_regular_file(descriptor)} {
    outlive_closed_pipes();
}

outlet::progress outlet::write_out() {
    const progress made = write_waiting();
    if (written_ == buffer_.size() || written_ >= most_written_bytes) forget_written();
    return made;
}

/// poll(2) promises PIPE_BUF bytes of a pipe and no more.
outlet::progress outlet::write_waiting() {
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

void outlet::forget_written() {
    if (written_ > 0) in_a_line_ = buffer_[written_ - 1] != '\n';
    done_ += written_;
    buffer_.erase(0, written_);
    written_ = 0;
}

bool outlet::give_up() {
    forget_written();
    const bool torn = in_a_line_ && !buffer_.empty();
    in_a_line_ = false;
    done_ += buffer_.size();
    buffer_.clear();
    return torn;
}

bool outlet::reader_is_gone() const noexcept {
    pollfd reader{descriptor_, 0, 0};
    return ::poll(&reader, 1, 0) > 0 && (reader.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

}  // namespace walrelay::sink
