// Tables, rows and sink maps for the tests of routes and records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/event/router.hpp"
#include "walrelay/pgoutput/relation.hpp"

namespace walrelay::event::sample {

using nullable = std::optional<std::string>;
using relation_ptr = std::shared_ptr<const pgoutput::relation>;
using plan_ptr = std::shared_ptr<const table_plan>;

namespace oid {
inline constexpr std::uint32_t bytea = 17;
inline constexpr std::uint32_t bigint = 20;
inline constexpr std::uint32_t integer = 23;
inline constexpr std::uint32_t text = 25;
inline constexpr std::uint32_t json = 114;
inline constexpr std::uint32_t timestamptz = 1184;
inline constexpr std::uint32_t uuid = 2950;
inline constexpr std::uint32_t jsonb = 3802;
}  // namespace oid

/// A row as pgoutput encodes it.
class row {
public:
    row() = default;
    row(std::initializer_list<nullable> values);

    row& text(std::string_view value);
    row& null();
    row& unchanged();

    /// Good as long as the row lives and nothing is added.
    [[nodiscard]] pgoutput::tuple_view view() const;

private:
    void byte(char c) { bytes_.push_back(static_cast<std::byte>(c)); }

    std::vector<std::byte> bytes_;
    std::uint16_t count_ = 0;
};

/// The values of a row of walrelay.outbox that matter here.
struct outbox {
    nullable id = "0192a1f0-0000-7000-8000-000000000001";
    nullable topic = "orders.created";
    nullable key = "c-17";
    nullable type = "order.created";
    nullable payload = R"({"total": 12.50})";
    nullable raw = std::nullopt;
    nullable headers = std::nullopt;

    [[nodiscard]] sample::row row() const;
};

/// The values of a row of walrelay.dispatch that matter here.
struct dispatch {
    nullable push = "2";
    nullable queue = "mail";
    nullable name = "send";
    nullable workflow_id = "0192a1f0-0000-7000-8000-0000000000aa";
    nullable attempt = "3";
    nullable key = "c-17";
    nullable input = R"({"n":  1.10})";
    nullable headers = std::nullopt;

    [[nodiscard]] sample::row row() const;
};

/// `shape:` of a route.
struct mapped {
    nullable id = std::nullopt;
    nullable key = std::nullopt;
    nullable type = std::nullopt;
    std::string payload;
    nullable headers = std::nullopt;

    operator config::mapped_shape() const { return {id, key, type, payload, headers, {}, false}; }
};

relation_ptr table(std::string schema, std::string name,
                   std::vector<std::pair<std::string, std::uint32_t>> columns);
relation_ptr outbox_table();
relation_ptr dispatch_table();

config::sink kafka(std::string name);
config::sink http(std::string name, std::string url);
config::sink console();

/// `from: walrelay.outbox` to the sinks of these indexes.
config::route outbox_route(std::vector<std::size_t> to);
/// `from: walrelay.dispatch`.
config::route push_route(std::vector<std::size_t> to);
config::route mapped_route(std::string schema, std::string table, std::vector<std::size_t> to,
                           config::mapped_shape shape);

config::model model(std::vector<config::sink> sinks, std::vector<config::route> routes);

/// Fails the test when the map or the table is refused.
plan_ptr plan(const config::model& map, const relation_ptr& table);
plan_ptr outbox_plan(std::vector<config::sink> sinks, std::vector<config::route> routes);

/// Commit 16/B374D848 at 2024-10-19, second insert.
row_position position();

/// The record of a row, as the first route that takes it makes it for `sink`.
result<void> build(const table_plan& plan, const row& from, std::size_t sink, record& out);
/// As above; fails the test when the row is refused.
void build_well(const table_plan& plan, const row& from, std::size_t sink, record& out);
/// The text of the error; fails the test when there is none.
std::string fault(const table_plan& plan, const row& from, std::size_t sink = 0);

}  // namespace walrelay::event::sample
