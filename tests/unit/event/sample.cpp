#include "sample.hpp"

#include "support/catch.hpp"

namespace walrelay::event::sample {

row::row(std::initializer_list<nullable> values) {
    for (const nullable& value : values) {
        if (value) {
            text(*value);
        } else {
            null();
        }
    }
}

row& row::text(std::string_view value) {
    byte('t');
    const auto size = static_cast<std::uint32_t>(value.size());
    for (const int shift : {24, 16, 8, 0})
        bytes_.push_back(static_cast<std::byte>(size >> shift));
    for (const char c : value)
        byte(c);
    ++count_;
    return *this;
}

row& row::null() {
    byte('n');
    ++count_;
    return *this;
}

row& row::unchanged() {
    byte('u');
    ++count_;
    return *this;
}

pgoutput::tuple_view row::view() const {
    return {count_, bytes_};
}

row outbox::row() const {
    return {"41", id, "2024-10-19 08:00:00+00", topic, key, type, payload, raw, headers};
}

row dispatch::row() const {
    return {"41",   "2024-10-19 08:00:00+00", push, queue, name, workflow_id, attempt, key, input,
            headers};
}

relation_ptr table(std::string schema, std::string name,
                   std::vector<std::pair<std::string, std::uint32_t>> columns) {
    auto made = std::make_shared<pgoutput::relation>();
    made->id = 16'400;
    made->schema = std::move(schema);
    made->name = std::move(name);
    for (auto& [column, type] : columns)
        made->columns.push_back({std::move(column), type, false});
    return made;
}

relation_ptr outbox_table() {
    return table("walrelay", "outbox",
                 {{"seq", oid::bigint},
                  {"id", oid::uuid},
                  {"at", oid::timestamptz},
                  {"topic", oid::text},
                  {"key", oid::text},
                  {"type", oid::text},
                  {"payload", oid::jsonb},
                  {"raw", oid::bytea},
                  {"headers", oid::jsonb}});
}

relation_ptr dispatch_table() {
    return table("walrelay", "dispatch",
                 {{"seq", oid::bigint},
                  {"at", oid::timestamptz},
                  {"push", oid::integer},
                  {"queue", oid::text},
                  {"name", oid::text},
                  {"workflow_id", oid::uuid},
                  {"attempt", oid::integer},
                  {"key", oid::text},
                  {"input", oid::jsonb},
                  {"headers", oid::jsonb}});
}

config::sink kafka(std::string name) {
    config::sink made;
    made.name = std::move(name);
    made.kind = config::kafka_sink{};
    made.at = {"map.yaml", 5, 3};
    return made;
}

config::sink http(std::string name, std::string url) {
    config::http_sink kind;
    kind.url = std::move(url);
    config::sink made;
    made.name = std::move(name);
    made.kind = std::move(kind);
    made.at = {"map.yaml", 6, 3};
    return made;
}

config::sink console() {
    config::sink made;
    made.name = "console";
    made.kind = config::stdout_sink{};
    return made;
}

config::route outbox_route(std::vector<std::size_t> to) {
    config::route made;
    made.from_schema = "walrelay";
    made.from_table = "outbox";
    made.to = std::move(to);
    made.at = {"map.yaml", 12, 5};
    return made;
}

config::route push_route(std::vector<std::size_t> to) {
    config::route made;
    made.from_schema = "walrelay";
    made.from_table = "dispatch";
    made.to = std::move(to);
    made.shape = config::push_shape{};
    made.at = {"map.yaml", 14, 5};
    return made;
}

config::route mapped_route(std::string schema, std::string table, std::vector<std::size_t> to,
                           config::mapped_shape shape) {
    config::route made;
    made.from_schema = std::move(schema);
    made.from_table = std::move(table);
    made.to = std::move(to);
    made.shape = std::move(shape);
    made.at = {"map.yaml", 20, 5};
    return made;
}

config::model model(std::vector<config::sink> sinks, std::vector<config::route> routes) {
    config::model made;
    made.sinks = std::move(sinks);
    made.routes = std::move(routes);
    return made;
}

plan_ptr plan(const config::model& map, const relation_ptr& table) {
    const auto routes = router::make(map);
    if (!routes) FAIL("the map was refused: " << routes.error().text());
    auto made = routes->plan(table);
    if (!made) FAIL("the table was refused: " << made.error().text());
    return *made;
}

plan_ptr outbox_plan(std::vector<config::sink> sinks, std::vector<config::route> routes) {
    return plan(model(std::move(sinks), std::move(routes)), outbox_table());
}

row_position position() {
    return {lsn{0x16'B374'D848}, 1'729'324'800'000'001, 731, 1};
}

result<void> build(const table_plan& plan, const row& from, std::size_t sink, record& out) {
    std::vector<placement> placements;
    const routing decided = plan.decide(from.view(), placements);
    REQUIRE(decided.what == routing::verdict::routed);
    return plan.build(from.view(), decided.route, sink, position(), 7, out);
}

void build_well(const table_plan& plan, const row& from, std::size_t sink, record& out) {
    const auto built = build(plan, from, sink, out);
    if (!built) FAIL("the row was refused: " << built.error().text());
}

std::string fault(const table_plan& plan, const row& from, std::size_t sink) {
    record out;
    const auto built = build(plan, from, sink, out);
    REQUIRE_FALSE(built.has_value());
    return built.error().text();
}

}  // namespace walrelay::event::sample
