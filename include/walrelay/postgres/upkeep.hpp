// What keeps the schema's tables small, once an hour.
#pragma once

#include <cstdint>

#include <boost/asio/awaitable.hpp>

#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

/// First walrelay.rotate(), then walrelay.prune() until nothing is left that it deletes. Each is a
/// statement of its own: what one can't do doesn't keep the other from being done, and none takes
/// so long that a record would be late.
class upkeep {
public:
    /// Hours since 1970. This one counts as done.
    void begin(std::int64_t hour) noexcept;

    /// What was not done in the hours before is left to this one.
    void note(std::int64_t hour) noexcept;

    [[nodiscard]] bool due() const noexcept { return rotates_ || prunes_left_ > 0; }

    /// The next statement. An error is for the log: what failed is tried again in the next hour.
    boost::asio::awaitable<sql_result<void>> next(connection& link);

private:
    std::int64_t hour_ = 0;
    bool rotates_ = false;
    std::uint32_t prunes_left_ = 0;  ///< at most, in this hour
};

}  // namespace walrelay::postgres
