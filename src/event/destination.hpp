// Where the records of one route go inside one sink.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "row_template.hpp"
#include "url_path.hpp"

namespace walrelay::event {

/// A sink without addresses: stdout, discard.
struct no_address {};

/// A Kafka topic. Names that come from rows are held to Kafka's alphabet, to `allowed`, and away
/// from the topics that belong to Kafka itself.
struct topic_address {
    row_template name;
    std::vector<std::string> allowed;  ///< globs; empty: any
};

/// Why a record may not go to this topic; empty when it may.
[[nodiscard]] std::string fault_of_topic(std::string_view topic,
                                         const std::vector<std::string>& allowed);

/// One sink of one route. Immutable.
class destination {
public:
    using address = std::variant<no_address, topic_address, url_path>;

    destination(std::size_t sink, address where);

    [[nodiscard]] std::size_t sink() const noexcept { return sink_; }

    [[nodiscard]] bool is_topic() const noexcept {
        return std::holds_alternative<topic_address>(where_);
    }

    /// "topic" or "url": for error texts.
    [[nodiscard]] std::string_view what() const noexcept;

    /// Of sink and address: equal addresses give equal hashes, whatever they were made from. A row
    /// without a usable address gets any. `buffer` is overwritten where it is needed.
    [[nodiscard]] std::uint64_t hash(const row_values& row, std::string& buffer) const;

    /// At most so many bytes are appended by fill().
    [[nodiscard]] std::size_t bound(const row_values& row) const noexcept;
    /// The address, appended to `out` where it has to be put together. A topic is not checked yet.
    [[nodiscard]] filled fill(const row_values& row, std::string& out) const;
    /// Some of it is secret, and must not be shown.
    [[nodiscard]] bool hides() const noexcept;
    /// Appends what may be shown of what fill() gave; where it hides().
    [[nodiscard]] std::string_view fill_shown(const row_values& row, std::string& out) const;
    /// Why the address that fill() gave may not be used; empty when it may.
    [[nodiscard]] std::string fault_of(std::string_view text) const;

private:
    std::size_t sink_;
    address where_;
    std::optional<std::uint64_t> constant_hash_;
};

}  // namespace walrelay::event
