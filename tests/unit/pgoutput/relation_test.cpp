#include "walrelay/pgoutput/relation.hpp"

#include <string>

#include "capture.hpp"
#include "support/catch.hpp"

namespace walrelay::pgoutput::test {

namespace {

relation_view described(const byte_vector& bytes) {
    const decoded<message> came = decode(bytes);
    REQUIRE(came.has_value());
    return std::get<relation_view>(*came);
}

/// A Relation message of one column.
byte_vector one_column(std::uint32_t id, std::string_view schema, std::string_view column_name) {
    return wire{}
        .tag('R')
        .u32(id)
        .text(schema)
        .text("t")
        .tag('d')
        .u16(1)
        .u8(0)
        .text(column_name)
        .u32(25)
        .u32(0xFFFFFFFF)
        .bytes();
}

}  // namespace

TEST_CASE("a table is known by its id with names that outlive the frame") {
    relation_cache cache;
    {
        const byte_vector bytes = captured(captures[1], "relation_default");
        REQUIRE(cache.put(described(bytes)).has_value());
    }
    const auto* const found = cache.find(item_id);
    REQUIRE(found != nullptr);
    const relation& item = **found;
    CHECK(item.id == item_id);
    CHECK(item.schema == "public");
    CHECK(item.name == "item");
    CHECK(item.qualified_name() == "public.item");
    CHECK(item.columns == std::vector<column>{{"id", 23, true},
                                              {"note", 25, false},
                                              {"body", 3802, false},
                                              {"feeling", mood_id, false},
                                              {"big", 25, false}});
    CHECK(item.column_index("id") == 0);
    CHECK(item.column_index("big") == 4);
    CHECK(item.column_index("Big") == -1);
    CHECK(item.column_index("") == -1);
}

TEST_CASE("a table that was not described is unknown, also under id 0") {
    relation_cache cache;
    CHECK(cache.find(0) == nullptr);
    REQUIRE(cache.put(described(captured(captures[1], "relation_default"))).has_value());
    CHECK(cache.find(item_id) != nullptr);
    CHECK(cache.find(item_id + 1) == nullptr);
    CHECK(cache.find(0) == nullptr);
    CHECK(cache.find(item_id) != nullptr);
}

TEST_CASE(
    "a table described again is the new one for new rows and stays the old one for old rows") {
    relation_cache cache;
    REQUIRE(cache.put(described(one_column(1, "public", "before"))).has_value());
    REQUIRE(cache.find(1) != nullptr);
    const std::shared_ptr<const relation> old = *cache.find(1);
    REQUIRE(cache.put(described(one_column(1, "public", "after"))).has_value());
    REQUIRE(cache.find(1) != nullptr);
    CHECK((*cache.find(1))->columns.front().name == "after");
    CHECK(old->columns.front().name == "before");
}

TEST_CASE("the schema that is empty on the wire is pg_catalog") {
    relation_cache cache;
    const auto put = cache.put(described(one_column(1, "", "c")));
    REQUIRE(put.has_value());
    CHECK((*put)->qualified_name() == "pg_catalog.t");
}

TEST_CASE("what a relay forgets on reconnect is unknown, also the table it asked for last") {
    relation_cache cache;
    REQUIRE(cache.put(described(one_column(1, "public", "c"))).has_value());
    REQUIRE(cache.find(1) != nullptr);
    cache.clear();
    CHECK(cache.find(1) == nullptr);
}

TEST_CASE("the table asked for last is right while the cache grows") {
    relation_cache cache;
    for (std::uint32_t id = 1; id <= 1000; ++id) {
        const byte_vector bytes = one_column(id, "public", "c" + std::to_string(id));
        REQUIRE(cache.put(described(bytes)).has_value());
        REQUIRE(cache.find(1) != nullptr);
        CHECK((*cache.find(1))->columns.front().name == "c1");
        REQUIRE(cache.find(id) != nullptr);
        CHECK((*cache.find(id))->id == id);
    }
}

TEST_CASE("more tables than the limit are refused, a known one can still change") {
    relation_cache cache;
    byte_vector bytes = one_column(0, "public", "c");
    const auto set_id = [&](std::uint32_t id) {
        for (std::size_t i = 0; i < 4; ++i)
            bytes[1 + i] = static_cast<std::byte>(id >> (24 - 8 * i));
    };
    for (std::uint32_t id = 1; id <= relation_cache::limit_entries; ++id) {
        set_id(id);
        if (!cache.put(described(bytes))) FAIL("refused at " << id);
    }
    set_id(7);
    CHECK(cache.put(described(bytes)).has_value());
    set_id(relation_cache::limit_entries + 1);
    const auto refused = cache.put(described(bytes));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().text() ==
          "bad value in Relation message at byte 0 (more tables on one connection than the relay "
          "keeps)");
}

TEST_CASE("a domain over a built-in type is known as that type") {
    relation_cache cache;
    cache.note({70000, "", "bytea"});
    cache.note({70001, "public", "json"});  // somebody's own type of that name
    byte_vector bytes = wire{}
                            .tag('R')
                            .u32(7)
                            .text("s")
                            .text("t")
                            .tag('d')
                            .u16(2)
                            .u8(0)
                            .text("a")
                            .u32(70000)
                            .u32(0xFFFFFFFF)
                            .u8(0)
                            .text("b")
                            .u32(70001)
                            .u32(0xFFFFFFFF)
                            .bytes();
    const auto put = cache.put(described(bytes));
    REQUIRE(put);
    CHECK((*put)->columns == std::vector<column>{{"a", 17, false}, {"b", 70001, false}});
}

}  // namespace walrelay::pgoutput::test
