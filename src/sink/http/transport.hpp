// Bytes to and from one server: a TCP connection, with or without TLS on it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "walrelay/engine/outcome.hpp"

namespace walrelay::sink::http {

using tcp = boost::asio::ip::tcp;
/// The executor by its own type: the type-erased one costs an indirection a handler.
using tcp_socket = boost::asio::basic_stream_socket<tcp, boost::asio::io_context::executor_type>;

/// Why a transport can't go on.
struct breakdown {
    engine::outcome_class what = engine::outcome_class::transient;  ///< or endpoint: TLS refused
    std::string cause;
};

/// Lives while it or an operation of it is in use; every operation holds it. All calls come from
/// the loop's thread, and the user hears nothing from inside a call.
class transport : public std::enable_shared_from_this<transport> {
public:
    class user {
    public:
        virtual void on_open() = 0;
        /// input() has grown.
        virtual void on_input() = 0;
        /// A write that write() left unfinished has ended: see write_state().
        virtual void on_written() = 0;
        /// The end; also "closed by the server". Nothing follows.
        virtual void on_broken(breakdown&& why) = 0;

    protected:
        ~user() = default;
    };

    enum class writing { done, under_way, failed };

    virtual ~transport() = default;

    /// Connects, and shakes hands where there is TLS. Ends in on_open() or on_broken().
    virtual void open(const tcp::endpoint& address) = 0;

    /// Sends both, in this order. `body` stays as it is until write_state() is no longer under_way,
    /// or close(). A failure breaks the connection off for reading too, once what has arrived is
    /// read: an early answer says more than "broken pipe".
    virtual void write(std::string_view head, std::string_view body) = 0;

    [[nodiscard]] writing write_state() const noexcept { return write_state_; }

    /// Waits for more input; ends in on_input() or on_broken(). One read at a time.
    virtual void read() = 0;

    [[nodiscard]] std::string_view input() const noexcept { return {input_.data(), filled_}; }

    /// Drops the first bytes of input(). Not while a read is under way.
    void consume(std::size_t size) noexcept;

    /// Bytes or the end are waiting in the socket.
    [[nodiscard]] virtual bool readable() = 0;

    /// More than input() had come when it was read last. Between reads.
    [[nodiscard]] virtual bool has_more() = 0;

    /// No room for another read: input() must be consumed first.
    [[nodiscard]] bool full() const noexcept;

    /// The user hears nothing any more, nothing of `body` is looked at any more, the socket is
    /// closed.
    virtual void close() noexcept = 0;

protected:
    explicit transport(user& who) noexcept : user_{&who} {}

    /// Room behind input() for the next read.
    [[nodiscard]] boost::asio::mutable_buffer room();
    /// `size` bytes were read into room().
    void grow(std::size_t size) noexcept;

    user* user_;  ///< none after close()
    writing write_state_ = writing::done;
    std::string input_;
    std::size_t filled_ = 0;
    bool room_was_left_ = true;  ///< the last read did not fill its room
};

/// "connect" errors and the rest in the system's words.
[[nodiscard]] std::string cause_of(const boost::system::error_code& failure);

}  // namespace walrelay::sink::http
