#include <libpq-fe.h>

#include <charconv>
#include <stdexcept>

#include "walrelay/postgres/connection.hpp"

namespace walrelay::postgres {

namespace {

void check_range(const pg_result* rows, std::size_t row, std::size_t column) {
    if (row >= static_cast<std::size_t>(PQntuples(rows)) ||
        column >= static_cast<std::size_t>(PQnfields(rows))) {
        throw std::out_of_range{"row_set: no such row or column"};
    }
}

}  // namespace

void row_set::clear::operator()(pg_result* rows) const noexcept {
    PQclear(rows);
}

row_set::row_set(pg_result* owned) noexcept : rows_{owned} {}

std::size_t row_set::size() const noexcept {
    return static_cast<std::size_t>(PQntuples(rows_.get()));
}

std::size_t row_set::columns() const noexcept {
    return static_cast<std::size_t>(PQnfields(rows_.get()));
}

std::size_t row_set::affected() const noexcept {
    const std::string_view text{PQcmdTuples(rows_.get())};
    std::size_t count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    return count;
}

bool row_set::is_null(std::size_t row, std::size_t column) const {
    check_range(rows_.get(), row, column);
    return PQgetisnull(rows_.get(), static_cast<int>(row), static_cast<int>(column)) == 1;
}

std::string_view row_set::text(std::size_t row, std::size_t column) const {
    check_range(rows_.get(), row, column);
    const int r = static_cast<int>(row);
    const int c = static_cast<int>(column);
    return {PQgetvalue(rows_.get(), r, c),
            static_cast<std::size_t>(PQgetlength(rows_.get(), r, c))};
}

}  // namespace walrelay::postgres
