#include "name_lookup.hpp"

#include <algorithm>
#include <utility>

namespace walrelay::sink::http {

using boost::system::error_code;
using tcp = boost::asio::ip::tcp;

name_lookup::name_lookup(boost::asio::io_context& loop, const origin& where)
    : resolver_{loop},
      host_{where.host},
      service_{std::to_string(where.port)},
      self_{std::make_shared<name_lookup*>(this)} {
    error_code not_an_address;
    const auto address = boost::asio::ip::make_address(where.host, not_an_address);
    if (!not_an_address) literal_.emplace_back(address, where.port);
}

void name_lookup::join(user& who) {
    waiting_.push_back(&who);
    if (under_way_) return;
    under_way_ = true;
    const std::weak_ptr<name_lookup*> weak = self_;
    resolver_.async_resolve(
        host_, service_, tcp::resolver::numeric_service,
        [weak](const error_code& failure, const tcp::resolver::results_type& results) {
            const auto self = weak.lock();
            if (!self) return;
            endpoints found;
            for (const auto& entry : results)
                found.push_back(entry.endpoint());
            (*self)->answer(failure, found);
        });
}

void name_lookup::leave(user& who) noexcept {
    std::erase(waiting_, &who);
}

void name_lookup::answer(const error_code& failure, const endpoints& found) {
    under_way_ = false;
    // One by one: what a user does then may bring another to join or to leave.
    for (std::size_t left = waiting_.size(); left > 0 && !waiting_.empty(); --left) {
        user* const who = waiting_.front();
        waiting_.erase(waiting_.begin());
        who->on_addresses(failure, found);
    }
}

}  // namespace walrelay::sink::http
