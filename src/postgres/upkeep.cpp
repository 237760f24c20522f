#include "walrelay/postgres/upkeep.hpp"

#include <string>
#include <utility>

#include "cells.hpp"

namespace walrelay::postgres {

namespace asio = boost::asio;

namespace {

constexpr std::uint32_t most_prunes_an_hour = 200;
constexpr std::uint32_t rows_a_prune = 10'000;

}  // namespace

void upkeep::begin(std::int64_t hour) noexcept {
    hour_ = hour;
    rotates_ = false;
    prunes_left_ = 0;
}

void upkeep::note(std::int64_t hour) noexcept {
    if (hour == hour_) return;
    hour_ = hour;
    rotates_ = true;
    prunes_left_ = most_prunes_an_hour;
}

asio::awaitable<sql_result<void>> upkeep::next(connection& link) {
    const bool rotates = std::exchange(rotates_, false);
    if (!rotates) --prunes_left_;
    std::string sql = rotates ? std::string{"SELECT walrelay.rotate()"}
                              : "SELECT walrelay.prune(" + std::to_string(rows_a_prune) + ")";
    const auto answer = co_await link.query(std::move(sql));
    if (rotates) {
        if (!answer) co_return answer.error();
        co_return sql_result<void>{};
    }
    const bool more = answer && integer_cell<std::uint32_t>(*answer, 0, 0) == rows_a_prune;
    if (!more) prunes_left_ = 0;
    if (!answer) co_return answer.error();
    co_return sql_result<void>{};
}

}  // namespace walrelay::postgres
