#include <string>
#include <vector>

#include "support/catch.hpp"
#include "walrelay/intake/mark.hpp"
#include "walrelay/pgoutput/decoder.hpp"
#include "walrelay/pgoutput/encoder.hpp"

using namespace walrelay;

namespace {

/// A row of text columns, encoded as on the wire.
struct row {
    explicit row(const std::vector<std::string>& values) : count{values.size()} {
        for (const std::string& value : values) {
            bytes += 't';
            for (const int shift : {24, 16, 8, 0})
                bytes += static_cast<char>(value.size() >> shift);
            bytes += value;
        }
    }

    [[nodiscard]] pgoutput::tuple_view view() const {
        return {static_cast<std::uint16_t>(count),
                {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}};
    }

    std::size_t count;
    std::string bytes;
};

pgoutput::relation table() {
    pgoutput::relation made;
    made.id = 7;
    made.schema = "walrelay";
    made.name = "redrive";
    for (const char* const name : {"id", "action", "slot", "sink", "ids"})
        made.columns.push_back({name, 25});
    return made;
}

std::string error_of(const std::vector<std::string>& values) {
    const auto read = intake::read_mark(table(), row{values}.view());
    return read ? "" : read.error().text();
}

}  // namespace

TEST_CASE("a mark is read with its ids") {
    const auto read =
        intake::read_mark(table(), row{{"5", "redrive", "s", "", "{1,22,333}"}}.view());
    REQUIRE(read);
    CHECK(read->id == 5);
    CHECK(read->what == intake::mark::action::redrive);
    CHECK(read->slot == "s");
    CHECK(read->ids == std::vector<std::int64_t>{1, 22, 333});
    CHECK(intake::read_mark(table(), row{{"5", "drop", "s", "", "{}"}}.view())->ids.empty());
}

TEST_CASE("a mark that asks for something unknown is an error, and never passed over") {
    CHECK(error_of({"5", "explode", "s", "", "{}"}).find("unknown action 'explode'") !=
          std::string::npos);
    CHECK(error_of({"5", "explode", "s", "", "{}"}).find("upgrade walrelay") != std::string::npos);
    CHECK_FALSE(error_of({"x", "drop", "s", "", "{}"}).empty());
    for (const char* const ids : {"", "1", "{1,}", "{a}", "{1", "{99999999999999999999}"}) {
        CAPTURE(ids);
        CHECK_FALSE(error_of({"5", "drop", "s", "", ids}).empty());
    }
}

TEST_CASE("what is set aside comes back through the decoder as it was") {
    const row stored{{"a", std::string("b\0\xff", 3), ""}};
    pgoutput::relation described = table();
    described.columns.resize(3);
    described.columns[1].key = true;
    const std::string relation = pgoutput::encode_relation(described);
    const std::string insert = pgoutput::encode_insert(described.id, stored.view());
    const auto bytes = [](const std::string& text) {
        return std::span{reinterpret_cast<const std::byte*>(text.data()), text.size()};
    };
    const auto seen = pgoutput::decode(bytes(relation));
    REQUIRE(seen);
    pgoutput::relation_cache cache;
    const auto again = cache.put(std::get<pgoutput::relation_view>(*seen));
    REQUIRE(again);
    CHECK((*again)->qualified_name() == "walrelay.redrive");
    CHECK((*again)->columns == described.columns);
    const auto message = pgoutput::decode(bytes(insert));
    REQUIRE(message);
    const auto& read = std::get<pgoutput::insert>(*message);
    CHECK(read.relation_id == 7);
    std::vector<std::string> values;
    for (const auto value : read.row)
        values.emplace_back(value.text);
    CHECK(values == std::vector<std::string>{"a", std::string("b\0\xff", 3), ""});
}
