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
/// it works share its answer, because Asio has one thread for all names of a process and a name
/// server that is silent would otherwise be waited for once a connection.
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

    /// The address itself where the URL holds one: nothing to look up. Else empty.
    [[nodiscard]] const endpoints& literal() const noexcept { return literal_; }

    /// `who` hears the answer, never from inside this call, unless it leaves before.
    void join(user& who);
    void leave(user& who) noexcept;

private:
    void answer(const boost::system::error_code& failure, const endpoints& found);

    boost::asio::ip::tcp::resolver resolver_;
    std::string host_;
    std::string service_;
    endpoints literal_;
    bool under_way_ = false;
    std::vector<user*> waiting_;
    std::shared_ptr<name_lookup*> self_;  ///< what handlers hold on to weakly
};

}  // namespace walrelay::sink::http
