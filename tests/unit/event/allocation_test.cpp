// Counts what this program takes from the heap, so it is a program of its own.
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#include "sample.hpp"
#include "support/catch.hpp"

namespace {

std::size_t allocations = 0;

void* counted(std::size_t bytes) noexcept {
    ++allocations;
    void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
    if (memory == nullptr) std::abort();
    return memory;
}

}  // namespace

// The nothrow forms too: the sanitizer's own would not go with these deletes.
void* operator new(std::size_t bytes) {
    return counted(bytes);
}

void* operator new[](std::size_t bytes) {
    return counted(bytes);
}

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return counted(bytes);
}

void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return counted(bytes);
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete[](void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

void operator delete(void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}

void operator delete[](void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

/// Allocations of a hundred rows, after two that warm up.
std::size_t allocations_of(const table_plan& plan, const row& from, std::size_t placed) {
    std::vector<placement> placements;
    record out;
    std::size_t taken = 0;
    for (int i = 0; i < 102; ++i) {
        const std::size_t before = allocations;
        const routing decided = plan.decide(from.view(), placements);
        bool good = decided.what == routing::verdict::routed && placements.size() == placed;
        for (const placement& p : placements) {
            good = plan.build(from.view(), decided.route, p.sink, position(), 1, out).has_value() &&
                   good;
        }
        if (i >= 2) taken += allocations - before;
        if (!good) FAIL("the row was refused");
    }
    return taken;
}

}  // namespace

TEST_CASE("The counter sees an allocation") {
    const std::size_t before = allocations;
    const auto made = std::make_unique<std::string>(1000, 'x');
    CHECK(allocations - before == 2);
}

TEST_CASE("Routing and building a row takes nothing from the heap once warm") {
    auto route = outbox_route({0, 1, 2});
    route.where.push_back({"topic", {"x*", "orders.*"}});
    route.key = "{topic}/{key}/{type}";
    route.topic = "shop.{topic}";
    const auto plan =
        outbox_plan({kafka("k"), http("h", "http://h/{topic}/{key}?t={type}"), console()}, {route});
    const std::string long_key(500, '/');
    CHECK(allocations_of(*plan, outbox{.key = long_key}.row(), 3) == 0);
    CHECK(allocations_of(
              *plan, outbox{.payload = std::nullopt, .raw = "\\x" + std::string(5000, 'a')}.row(),
              3) == 0);
}

TEST_CASE("A push of a workflow takes nothing from the heap once warm") {
    const auto plan = sample::plan(
        model({kafka("k"), http("h", "http://h/{queue}/{name}")}, {push_route({0, 1})}),
        dispatch_table());
    CHECK(allocations_of(*plan,
                         dispatch{.key = std::string(500, '"'),
                                  .input = "\"" + std::string(5000, 'i') + "\"",
                                  .headers = R"({"a": "b\\n", "c": [1, "\u00e9"]})"}
                             .row(),
                         2) == 0);
}

TEST_CASE("Headers of a row or of the map take nothing from the heap once warm") {
    config::mapped_shape shape = mapped{.id = "{a}-{a}", .payload = "b"};
    shape.debezium = true;
    shape.header_values = {{"text", "{a}/{b}"}, {"bytes", "{c}"}, {"Content-Type", "{a}"}};
    auto route = mapped_route("s", "t", {0}, shape);
    route.topic = "t";
    const auto plan =
        sample::plan(model({kafka("k")}, {route}),
                     table("s", "t", {{"a", oid::text}, {"b", oid::text}, {"c", oid::bytea}}));
    CHECK(allocations_of(
              *plan,
              row{std::string(100, 'a'), std::string(3000, 'b'), "\\x" + std::string(2000, '4')},
              1) == 0);
    const auto outbox_rows = outbox_plan({kafka("k")}, {outbox_route({0})});
    CHECK(allocations_of(*outbox_rows,
                         outbox{.headers = R"({"a": "b\\n\u00e9", "c": [1, {"d": [2]}]})"}.row(),
                         1) == 0);
}

TEST_CASE("A row that is named by its position takes nothing from the heap once warm") {
    const auto plan = sample::plan(
        model({console()}, {mapped_route("s", "t", {0}, mapped{.key = "{a}", .payload = "b"})}),
        table("s", "t", {{"a", oid::text}, {"b", oid::text}}));
    CHECK(allocations_of(*plan, row{"key", std::string(3000, 'b')}, 1) == 0);
}
