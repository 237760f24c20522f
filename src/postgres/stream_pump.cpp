#include "stream_pump.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "failure.hpp"

namespace walrelay::postgres {

namespace asio = boost::asio;

namespace {

using clock = std::chrono::steady_clock;
using watched_socket = asio::posix::stream_descriptor;

constexpr std::chrono::seconds closing_step_limit{1};

/// Reads and forgets until the peer has closed, or the deadline.
asio::awaitable<void> read_to_end(watched_socket& socket, time_point deadline) {
    std::array<char, 16 * 1024> waste;  // NOLINT: filled by recv
    while (clock::now() < deadline) {
        const ssize_t size =
            ::recv(socket.native_handle(), waste.data(), waste.size(), MSG_DONTWAIT);
        if (size == 0) co_return;
        if (size > 0 || errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) co_return;
        const bool ready = co_await wait_for_socket(socket, watched_socket::wait_read, deadline);
        if (!ready) co_return;
    }
}

}  // namespace

stream_pump::stream_pump(std::unique_ptr<connection> link, std::string slot,
                         stream_handler& handler, reading_pace pace)
    : link_{std::move(link)},
      inside_{link_->internals()},
      pg_{link_->native()},
      slot_{std::move(slot)},
      backend_pid_{link_->backend_pid()},
      handler_{&handler},
      pace_{pace},
      pause_timer_{inside_.socket.get_executor()} {
    // libpq calls this in the middle of its work: the handler is told when libpq has returned.
    inside_.on_notice = [this](std::string text) { notices_.push_back(std::move(text)); };
}

void stream_pump::resume() {
    if (!paused_) return;
    paused_ = false;
    turn_soon();  // not "when readable": frames may be left inside libpq, or inside TLS
}

void stream_pump::turn() {
    if (phase_ == phase::ending) {
        collect_end();
    } else if (phase_ == phase::streaming && (!paused_ || discarding_)) {
        read();
    }
}

/// One round: everything that is there now, at most burst_bytes. libpq takes 16 KiB a call, so the
/// socket is empty when a call brought no further frame. (Or the part of a large frame; then it is
/// readable again at once.)
void stream_pump::read() {
    std::size_t bytes = 0;
    std::size_t before = 0;
    bool asked_socket = false;
    for (;;) {
        const taken got = take_frames(bytes);
        if (phase_ == phase::over) return;
        if (got == taken::copy_ended) {
            phase_ = phase::ending;
            break;
        }
        if (got == taken::stopped || lost_ || bytes >= pace_.burst_bytes) break;
        if (asked_socket && bytes == before) break;
        before = bytes;
        asked_socket = true;
        if (PQconsumeInput(pg_) != 1) note_lost();  // what came before is still to be taken
    }
    if (bytes > 0 && !discarding_) handler_->on_burst_end();
    after_round(bytes);
}

stream_pump::taken stream_pump::take_frames(std::size_t& bytes) {
    for (;;) {
        if (paused_ && !discarding_) return taken::stopped;
        char* buffer = nullptr;
        const int size = PQgetCopyData(pg_, &buffer, 1);
        frame received{size > 0 ? buffer : nullptr, size > 0 ? static_cast<std::size_t>(size) : 0,
                       PQfreemem};
        if (!notices_.empty()) say_notices();
        if (phase_ == phase::over) return taken::stopped;
        if (size == 0) return taken::all;
        if (size < 0) {
            if (size == -2) note_lost();
            return size == -1 ? taken::copy_ended : taken::all;
        }
        bytes += received.size();
        if (discarding_) continue;
        const bool more = handler_->on_frame(std::move(received));
        if (phase_ == phase::over) return taken::stopped;
        if (!more) paused_ = true;
    }
}

void stream_pump::after_round(std::size_t bytes) {
    if (phase_ == phase::over) return;
    if (phase_ == phase::ending) return collect_end();
    if (paused_ && !discarding_) {
        if (!lost_ && !peer_is_gone()) return;
        // Nobody waits for room in a stream that is over: its end is all that is still wanted.
        discarding_ = true;
        return turn_soon();
    }
    if (lost_) return finish(lost_connection());
    if (bytes >= pace_.burst_bytes) return turn_soon();
    if (is_behind(bytes)) return turn_after_pause();
    turn_when_readable();
}

bool stream_pump::is_behind(std::size_t bytes) {
    const time_point now = clock::now();
    if (now - window_start_ > pace_.behind_window) {
        window_start_ = now;
        window_bytes_ = 0;
    }
    window_bytes_ += bytes;
    // A round that brought nothing is the end of a backlog: then the socket says when to go on.
    return bytes > 0 && window_bytes_ > pace_.behind_bytes;
}

/// The copy is over, and says why in its results: CommandComplete ("COPY 0"), an error, or both a
/// FATAL error and the loss of the connection.
void stream_pump::collect_end() {
    for (;;) {
        if (!lost_ && PQisBusy(pg_) == 1) {
            if (PQconsumeInput(pg_) != 1) {
                note_lost();
            } else if (PQisBusy(pg_) == 1) {
                return turn_when_readable();
            }
        }
        const result_handle result{PQgetResult(pg_)};
        if (!result) break;
        const ExecStatusType status = PQresultStatus(result.get());
        if (status == PGRES_COPY_IN && !copy_end_sent_) {
            copy_end_sent_ = true;  // CopyDone came; it wants ours
            PQputCopyEnd(pg_, nullptr);
            flush();
        } else if (status == PGRES_COMMAND_OK) {
            ended_properly_ = true;
        } else if (status == PGRES_FATAL_ERROR && !ended_properly_ && !end_) {
            end_ = server_error("stream from", "slot \"" + slot_ + "\"", result.get(), pg_);
        } else if (status != PGRES_FATAL_ERROR) {
            break;
        }
    }
    if (!notices_.empty()) say_notices();
    if (phase_ == phase::over) return;
    if (ended_properly_) {
        sql_error end;
        end.what.operation = "stream from";
        end.what.object = "slot \"" + slot_ + "\"";
        end.what.cause = "the server ended the stream";
        return finish(std::move(end));
    }
    // Without a code libpq's own word for a closed socket stands there as an "error".
    if (end_ && !end_->sqlstate.empty()) return finish(std::move(*end_));
    finish(lost_connection());
}

void stream_pump::finish(sql_error end) {
    stream_handler* const handler = handler_;
    abandon();
    handler->on_end(std::move(end));
}

sql_error stream_pump::lost_connection() const {
    const bool closed =
        lost_cause_.empty() || lost_cause_.find("closed the connection") != std::string::npos;
    sql_error failure =
        lost("stream from", "slot \"" + slot_ + "\"",
             closed ? "the server closed the connection without a word" : lost_cause_);
    failure.what.hint =
        "if the server runs, look in its log for a walsender that ended \"due to replication "
        "timeout\" (wal_sender_timeout) or crashed, and at the network between";
    return failure;
}

void stream_pump::note_lost() {
    if (lost_) return;
    lost_ = true;
    lost_cause_ = PQerrorMessage(pg_);
}

bool stream_pump::send(std::span<const std::byte> message) {
    if (phase_ != phase::streaming || lost_) return false;
    const int size = static_cast<int>(message.size());
    if (PQputCopyData(pg_, reinterpret_cast<const char*>(message.data()), size) != 1) {
        write_failed();
        return false;
    }
    flush();
    if (paused_ && !discarding_ && peer_is_gone()) write_failed();
    return !lost_ && !discarding_;
}

void stream_pump::flush() {
    if (waiting_writable_) return;
    const int left = PQflush(pg_);
    if (left < 0) return write_failed();
    if (left == 0) return;
    flush_when_writable();
    // A PQflush that would block has read from the socket, which may not be readable again.
    if (!paused_) turn_soon();
}

/// The reading side knows why: the server's last word may still be in the socket.
void stream_pump::write_failed() {
    if (paused_) discarding_ = true;
    if (peer_is_gone()) return turn_soon();
    note_lost();
    turn_soon();
}

/// While nothing is read, only this tells that the server closed its end.
bool stream_pump::peer_is_gone() const noexcept {
    if (phase_ == phase::over) return true;  // and so is pg_
    pollfd watched{};
    watched.fd = PQsocket(pg_);
    watched.events = POLLRDHUP;
    return watched.fd < 0 || ::poll(&watched, 1, 0) == 1;
}

asio::awaitable<void> stream_pump::close() {
    const auto self = shared_from_this();
    if (phase_ == phase::over) co_return;
    phase_ = phase::over;
    handler_ = nullptr;
    pause_timer_.cancel();
    inside_.watch_again();
    inside_.socket.cancel();

    time_point deadline = clock::now() + closing_step_limit;
    while (PQflush(pg_) == 1) {
        const bool ready =
            co_await wait_for_socket(inside_.socket, watched_socket::wait_write, deadline);
        if (!ready) break;
    }
    // A socket that is closed with unread data sends a reset, which overtakes what was written: the
    // server never sees the last status. So our side ends first, and the server's is read out.
    ::shutdown(inside_.socket.native_handle(), SHUT_WR);
    deadline = clock::now() + closing_step_limit;
    co_await read_to_end(inside_.socket, deadline);
    link_.reset();
}

void stream_pump::abandon() noexcept {
    if (phase_ == phase::over) return;
    phase_ = phase::over;
    handler_ = nullptr;
    pause_timer_.cancel();
    link_.reset();
}

void stream_pump::turn_soon() {
    if (turn_queued_) return;
    turn_queued_ = true;
    asio::post(pause_timer_.get_executor(), [self = shared_from_this()] {
        self->turn_queued_ = false;
        self->turn();
    });
}

void stream_pump::turn_after_pause() {
    if (turn_queued_) return;
    turn_queued_ = true;
    if (!waiting_readable_ && !waiting_writable_) inside_.stop_watching();
    pause_timer_.expires_after(pace_.pause_while_behind);
    pause_timer_.async_wait([self = shared_from_this()](const boost::system::error_code&) {
        self->turn_queued_ = false;
        self->turn();
    });
}

void stream_pump::turn_when_readable() {
    if (waiting_readable_) return;
    waiting_readable_ = true;
    inside_.watch_again();
    inside_.socket.async_wait(watched_socket::wait_read,
                              [self = shared_from_this()](const boost::system::error_code&) {
                                  self->waiting_readable_ = false;
                                  self->turn();
                              });
}

void stream_pump::flush_when_writable() {
    waiting_writable_ = true;
    inside_.watch_again();
    inside_.socket.async_wait(watched_socket::wait_write,
                              [self = shared_from_this()](const boost::system::error_code&) {
                                  self->waiting_writable_ = false;
                                  if (self->phase_ != phase::over) self->flush();
                              });
}

void stream_pump::say_notices() {
    std::vector<std::string> texts;
    texts.swap(notices_);
    for (std::string& each : texts) {
        if (handler_ == nullptr) return;
        handler_->on_server_notice(std::move(each));
    }
}

}  // namespace walrelay::postgres
