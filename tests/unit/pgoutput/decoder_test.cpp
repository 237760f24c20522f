#include "walrelay/pgoutput/decoder.hpp"

#include <algorithm>
#include <string>

#include "capture.hpp"
#include "support/catch.hpp"

namespace walrelay::pgoutput::test {

namespace {

/// The captured message `name` as what it has to be.
template <class Message>
Message decoded_as(const byte_vector& bytes) {
    const decoded<message> came = decode(bytes);
    if (!came) FAIL(came.error().text());
    const auto* const one = std::get_if<Message>(&*came);
    if (one == nullptr) FAIL("another kind of message");
    return *one;
}

/// A row as text: a NULL is "~", an unchanged TOAST value "?".
std::vector<std::string> texts(const tuple_view& row) {
    std::vector<std::string> columns;
    for (const value_view value : row) {
        switch (value.what) {
            case value_view::kind::null:
                columns.emplace_back("~");
                break;
            case value_view::kind::unchanged_toast:
                columns.emplace_back("?");
                break;
            case value_view::kind::text:
                columns.emplace_back(value.text);
                break;
        }
    }
    CHECK(columns.size() == row.size());
    return columns;
}

using row_texts = std::vector<std::string>;

struct expected_column {
    bool key;
    std::string name;
    std::uint32_t type_oid;
    std::int32_t type_modifier;
};

void check_columns(const column_list& columns, const std::vector<expected_column>& expected) {
    REQUIRE(columns.size() == expected.size());
    auto at = columns.begin();
    for (const expected_column& column : expected) {
        const column_view seen = *at;
        CHECK(seen.key == column.key);
        CHECK(seen.name == column.name);
        CHECK(seen.type_oid == column.type_oid);
        CHECK(seen.type_modifier == column.type_modifier);
        ++at;
    }
    CHECK(at == columns.end());
}

}  // namespace

TEST_CASE("the frame of a transaction is read as the server sent it") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);

    const byte_vector begin_bytes = captured(from, "begin");
    const auto opened = decoded_as<begin>(begin_bytes);
    CHECK(opened.commit_lsn.value == from.commit_lsn);
    CHECK(opened.commit_time.microseconds == from.commit_time);
    CHECK(opened.xid == from.xid);

    const byte_vector commit_bytes = captured(from, "commit");
    const auto closed = decoded_as<commit>(commit_bytes);
    CHECK(closed.commit_lsn.value == from.commit_lsn);
    CHECK(closed.end_lsn.value == from.end_lsn);
    CHECK(closed.commit_time.microseconds == from.commit_time);

    const byte_vector origin_bytes = captured(from, "origin");
    const auto came_from = decoded_as<origin>(origin_bytes);
    CHECK(to_string(came_from.commit_lsn) == "1/ABCDEF");
    CHECK(came_from.name == "upstream");
}

TEST_CASE("times count from the year 2000 in microseconds") {
    // date -u -d @1795255542 is the time of the capture from PostgreSQL 14.
    CHECK(pg_time{848570742024823}.unix_microseconds() == 1795255542024823);
    CHECK(pg_time{0}.unix_microseconds() == 946684800000000);
}

TEST_CASE("a table is described with its columns, keys and replica identity") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);

    const byte_vector item_bytes = captured(from, "relation_default");
    const auto item = decoded_as<relation_view>(item_bytes);
    CHECK(item.id == item_id);
    CHECK(item.schema == "public");
    CHECK(item.name == "item");
    CHECK(item.replica_identity == 'd');
    check_columns(item.columns, {{true, "id", 23, -1},
                                 {false, "note", 25, -1},
                                 {false, "body", 3802, -1},
                                 {false, "feeling", mood_id, -1},
                                 {false, "big", 25, -1}});

    const byte_vector whole_bytes = captured(from, "relation_full");
    const auto whole = decoded_as<relation_view>(whole_bytes);
    CHECK(whole.id == from.whole_id);
    CHECK(whole.schema == "public");
    CHECK(whole.name == "whole");
    CHECK(whole.replica_identity == 'f');
    check_columns(whole.columns, {{true, "id", 20, -1}, {true, "note", 1043, 24}});

    const byte_vector mood_bytes = captured(from, "type");
    const auto mood = decoded_as<type>(mood_bytes);
    CHECK(mood.oid == mood_id);
    CHECK(mood.schema == "public");
    CHECK(mood.name == "mood");
}

TEST_CASE("an inserted row keeps text, empty text and NULL apart") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);

    const byte_vector large_bytes = captured(from, "insert_large");
    const auto large = decoded_as<insert>(large_bytes);
    CHECK(large.relation_id == item_id);
    CHECK(texts(large.row) ==
          row_texts{"1", "Z\xC3\xBCrich", "{\"k\": 1}", "good", std::string(3000, 'x')});

    const byte_vector null_bytes = captured(from, "insert_text_null");
    const auto nulls = decoded_as<insert>(null_bytes);
    CHECK(nulls.relation_id == item_id);
    CHECK(texts(nulls.row) == row_texts{"2", "", "~", "~", "~"});
}

TEST_CASE("an updated row comes alone, with its old key, or with the whole old row") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);

    const byte_vector plain_bytes = captured(from, "update");
    const auto plain = decoded_as<update>(plain_bytes);
    CHECK(plain.relation_id == item_id);
    CHECK(plain.old_kind == 0);
    CHECK(texts(plain.old_row).empty());
    CHECK(texts(plain.row) == row_texts{"2", "new", "~", "~", "~"});

    const byte_vector key_bytes = captured(from, "update_key_unchanged_toast");
    const auto key = decoded_as<update>(key_bytes);
    CHECK(key.relation_id == item_id);
    CHECK(key.old_kind == 'K');
    CHECK(texts(key.old_row) == row_texts{"1", "~", "~", "~", "~"});
    CHECK(texts(key.row) == row_texts{"100", "Z\xC3\xBCrich", "{\"k\": 1}", "good", "?"});

    const byte_vector full_bytes = captured(from, "update_full");
    const auto full = decoded_as<update>(full_bytes);
    CHECK(full.relation_id == from.whole_id);
    CHECK(full.old_kind == 'O');
    CHECK(texts(full.old_row) == row_texts{"9000000000", "w"});
    CHECK(texts(full.row) == row_texts{"9000000000", "~"});
}

TEST_CASE("a deleted row comes with its key or whole") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);

    const byte_vector key_bytes = captured(from, "delete_key");
    const auto key = decoded_as<remove>(key_bytes);
    CHECK(key.relation_id == item_id);
    CHECK(key.old_kind == 'K');
    CHECK(texts(key.old_row) == row_texts{"100", "~", "~", "~", "~"});

    const byte_vector full_bytes = captured(from, "delete_full");
    const auto full = decoded_as<remove>(full_bytes);
    CHECK(full.relation_id == from.whole_id);
    CHECK(full.old_kind == 'O');
    CHECK(texts(full.old_row) == row_texts{"9000000000", "~"});
}

TEST_CASE("a TRUNCATE names all its tables and how it was said") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);

    const byte_vector one_bytes = captured(from, "truncate");
    const auto one = decoded_as<truncate>(one_bytes);
    CHECK(one.options == 2);
    REQUIRE(one.count == 1);
    CHECK(one.relation_id(0) == item_id);

    const byte_vector two_bytes = captured(from, "truncate_two");
    const auto two = decoded_as<truncate>(two_bytes);
    CHECK(two.options == 1);
    REQUIRE(two.count == 2);
    CHECK(two.relation_id(0) == item_id);
    CHECK(two.relation_id(1) == from.whole_id);
}

TEST_CASE("an emitted message tells whether it belongs to a transaction") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);

    const byte_vector inside_bytes = captured(from, "message_transactional");
    const auto inside = decoded_as<logical_message>(inside_bytes);
    CHECK(inside.transactional);
    CHECK(inside.position.value == from.message_inside);
    CHECK(inside.prefix == "pfx");
    const byte_vector content = wire{}.raw("inside").bytes();
    CHECK(std::ranges::equal(inside.content, content));

    const byte_vector outside_bytes = captured(from, "message_outside");
    const auto outside = decoded_as<logical_message>(outside_bytes);
    CHECK_FALSE(outside.transactional);
    CHECK(outside.position.value == from.message_outside);
    CHECK(outside.prefix == "pfx");
    CHECK(outside.content.empty());
}

TEST_CASE("views point into the frame instead of copying it") {
    const byte_vector bytes = captured(captures[1], "insert_large");
    const auto large = decoded_as<insert>(bytes);
    for (const value_view value : large.row) {
        const auto* const text = reinterpret_cast<const std::byte*>(value.text.data());
        CHECK(text >= bytes.data());
        CHECK(text + value.text.size() <= bytes.data() + bytes.size());
    }
}

TEST_CASE("a row of as many columns as the protocol can count is read") {
    const byte_vector bytes =
        wire{}.tag('I').u32(1).tag('N').u16(INT16_MAX).raw(std::string(INT16_MAX, 'n')).bytes();
    CHECK(texts(decoded_as<insert>(bytes).row).size() == INT16_MAX);
}

TEST_CASE("a row without columns is read") {
    const byte_vector bytes = wire{}.tag('I').u32(1).tag('N').u16(0).bytes();
    CHECK(texts(decoded_as<insert>(bytes).row).empty());
}

}  // namespace walrelay::pgoutput::test
