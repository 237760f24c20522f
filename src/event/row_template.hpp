// A template whose columns were found in a table.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "row_values.hpp"

namespace walrelay::event {

/// Text and column values in a row. Immutable.
class row_template {
public:
    /// A literal, or the column that is kept in that slot.
    using part = std::variant<std::string, slot>;

    explicit row_template(std::vector<part> parts) : parts_{std::move(parts)} {}

    /// The text is the same for every row.
    [[nodiscard]] bool constant() const noexcept;

    /// At most so many bytes are appended by fill().
    [[nodiscard]] std::size_t bound(const row_values& row) const noexcept;

    /// A template of one part is answered by a view of that part, without copying; any other is
    /// appended to `out`. Any NULL makes the whole NULL.
    [[nodiscard]] filled fill(const row_values& row, std::string& out) const;

private:
    std::vector<part> parts_;
};

}  // namespace walrelay::event
