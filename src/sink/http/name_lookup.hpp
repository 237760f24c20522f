// The addresses of the one host of a sink.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <string>
#include <vector>

#include "origin.hpp"

namespace walrelay::sink::http {

/// Asks the system's resolver anew for each group of connections: connections that are opened while
/// it works share its answer. Each question has a thread of its own, which nobody waits for: a name
/// server that is silent, for half a minute as the system is set by default, holds up neither the
/// other sinks nor the end of the process.
class name_lookup {
public:
    using endpoints = std::vector<boost::asio::ip::tcp::endpoint>;

    class user {
    public:
        /// At least one address, or an error.
        virtual void on_addresses(const boost::system::error_code& failure,
                                  const endpoints& found) = 0;

    protected:
        ~user() = default;
    };

    name_lookup(boost::asio::io_context& loop, const origin& where);
    ~name_lookup();
    name_lookup(const name_lookup&) = delete;
    name_lookup& operator=(const name_lookup&) = delete;

    /// The address itself where the URL holds one: nothing to look up. Else empty.
    [[nodiscard]] const endpoints& literal() const noexcept { return literal_; }

    /// `who` hears the answer, never from inside this call, unless it leaves before.
    void join(user& who);
    void leave(user& who) noexcept;

private:
    struct way_back;

    void ask();
    void answer(const boost::system::error_code& failure, const endpoints& found);

    std::string host_;
    std::string service_;
    endpoints literal_;
    bool under_way_ = false;
    std::vector<user*> waiting_;
    std::shared_ptr<way_back> way_back_;
};

}  // namespace walrelay::sink::http
