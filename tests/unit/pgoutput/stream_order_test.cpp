// Cases E6, E7, E10 and E11: well-formed messages that may not come now, or contradict earlier
// ones.
#include <string>

#include "capture.hpp"
#include "support/catch.hpp"
#include "walrelay/pgoutput/stream_reader.hpp"

namespace walrelay::pgoutput::test {

namespace {

using kind = protocol_error::kind;

byte_vector begin_at(std::uint64_t commit_lsn) {
    return wire{}.tag('B').u64(commit_lsn).u64(0).u32(7).bytes();
}

byte_vector commit_at(std::uint64_t commit_lsn, std::uint64_t end_lsn) {
    return wire{}.tag('C').u8(0).u64(commit_lsn).u64(end_lsn).u64(0).bytes();
}

byte_vector emit_at(bool transactional, std::uint64_t position) {
    return wire{}.tag('M').u8(transactional ? 1 : 0).u64(position).text("p").u32(0).bytes();
}

byte_vector item(const char* name) {
    return captured(captures[1], name);
}

class fed_reader {
public:
    explicit fed_reader(const std::vector<byte_vector>& messages) {
        for (const byte_vector& one : messages)
            accept(one);
    }

    void accept(const byte_vector& bytes) {
        const auto came = reader_.read(in_frame(bytes));
        if (!came) FAIL(came.error().text());
    }

    void refuse(const byte_vector& bytes, kind what, const std::string& text) {
        const lsn end_before = reader_.last_end();
        const auto came = reader_.read(in_frame(bytes));
        REQUIRE_FALSE(came.has_value());
        CHECK(came.error().what == what);
        CHECK(came.error().text() == text);
        CHECK(reader_.last_end() == end_before);  // nothing broken is ever acknowledged
    }

private:
    stream_reader reader_;
};

}  // namespace

TEST_CASE("E6: a row before its Relation is refused, whatever changes it") {
    struct change {
        const char* name;
        const char* kind_name;
    };

    const auto one = GENERATE(values<change>({{"insert_text_null", "Insert"},
                                              {"update", "Update"},
                                              {"update_key_unchanged_toast", "Update"},
                                              {"delete_key", "Delete"},
                                              {"truncate", "Truncate"},
                                              {"truncate_two", "Truncate"}}));
    fed_reader reader{{begin_at(100)}};
    reader.refuse(item(one.name), kind::out_of_sequence,
                  std::string{"out-of-sequence "} + one.kind_name +
                      " message at byte 0 (its table had no Relation message)");
}

TEST_CASE("E6: a row of another table than the one described is refused") {
    fed_reader reader{{begin_at(100), item("relation_full")}};
    reader.refuse(item("insert_text_null"), kind::out_of_sequence,
                  "out-of-sequence Insert message at byte 0 (its table had no Relation message)");
}

TEST_CASE("a TRUNCATE is told of the first of its tables that is known") {
    stream_reader reader;
    REQUIRE(reader.read(in_frame(begin_at(100))).has_value());
    REQUIRE(reader.read(in_frame(item("relation_full"))).has_value());
    const auto came = reader.read(in_frame(item("truncate_two")));
    REQUIRE(came.has_value());
    const auto& change = std::get<change_ignored>(*came);
    CHECK(change.what == change_ignored::kind::truncate);
    CHECK((*change.table)->qualified_name() == "public.whole");
}

TEST_CASE("E7: a Commit without Begin is refused") {
    const std::string text = "out-of-sequence Commit message at byte 0 (no transaction is open)";
    fed_reader{{}}.refuse(commit_at(100, 110), kind::out_of_sequence, text);
    fed_reader{{begin_at(100), commit_at(100, 110)}}.refuse(commit_at(100, 110),
                                                            kind::out_of_sequence, text);
}

TEST_CASE("E7: a Begin inside a transaction is refused") {
    fed_reader{{begin_at(100)}}.refuse(
        begin_at(200), kind::out_of_sequence,
        "out-of-sequence Begin message at byte 0 (a transaction is open)");
}

TEST_CASE("E7: a row outside a transaction is refused") {
    struct change {
        const char* name;
        const char* kind_name;
    };

    const auto one = GENERATE(values<change>({{"insert_text_null", "Insert"},
                                              {"update", "Update"},
                                              {"delete_key", "Delete"},
                                              {"truncate", "Truncate"},
                                              {"origin", "Origin"}}));
    fed_reader reader{{begin_at(100), item("relation_default"), commit_at(100, 110)}};
    reader.refuse(item(one.name), kind::out_of_sequence,
                  std::string{"out-of-sequence "} + one.kind_name +
                      " message at byte 0 (no transaction is open)");
}

TEST_CASE("E7: a row that has not its table's columns is refused") {
    // public.item with one column less and one more.
    const auto described = [](std::uint16_t columns) {
        wire bytes;
        bytes.tag('R').u32(item_id).text("public").text("item").tag('d').u16(columns);
        for (int i = 0; i < columns; ++i)
            bytes.u8(0).text("c").u32(25).u32(0xFFFFFFFF);
        return bytes.bytes();
    };
    const auto columns = GENERATE(as<std::uint16_t>{}, 4, 6, 0);
    const auto refuse = [&](const char* name, const std::string& kind_name) {
        fed_reader reader{{begin_at(100), item("relation_default"), described(columns)}};
        reader.refuse(item(name), kind::mismatch,
                      "inconsistent " + kind_name +
                          " message at byte 0 (a row has not its Relation's columns)");
    };
    refuse("insert_text_null", "Insert");
    refuse("update", "Update");
    refuse("delete_key", "Delete");
}

TEST_CASE("E7: an old row that has not its table's columns is refused") {
    const auto old_columns = GENERATE(as<std::uint16_t>{}, 0, 1, 3);
    const byte_vector bytes = wire{}
                                  .tag('U')
                                  .u32(captures[1].whole_id)
                                  .tag('O')
                                  .u16(old_columns)
                                  .raw(std::string(old_columns, 'n'))
                                  .tag('N')
                                  .u16(2)
                                  .raw("nn")
                                  .bytes();
    fed_reader reader{{begin_at(100), item("relation_full")}};
    reader.refuse(bytes, kind::mismatch,
                  "inconsistent Update message at byte 0 (a row has not its Relation's columns)");
}

TEST_CASE("E7: messages know their place: inside a transaction or outside of all") {
    fed_reader{{}}.refuse(emit_at(true, 100), kind::out_of_sequence,
                          "out-of-sequence Logical message at byte 0 (a transactional message, and "
                          "no transaction is open)");
    fed_reader{{begin_at(100)}}.refuse(emit_at(false, 100), kind::out_of_sequence,
                                       "out-of-sequence Logical message at byte 0 (a message "
                                       "outside transactions, and one is open)");
    fed_reader{{begin_at(100)}}.accept(emit_at(true, 90));
    fed_reader{{}}.accept(emit_at(false, 100));
}

TEST_CASE("E10: a Commit of another transaction than the one that began is refused") {
    const auto commit_lsn = GENERATE(as<std::uint64_t>{}, 0, 99, 101);
    fed_reader{{begin_at(100)}}.refuse(
        commit_at(commit_lsn, 200), kind::mismatch,
        "inconsistent Commit message at byte 0 (commit_lsn is not that of Begin)");
}

TEST_CASE("E11: a Commit that doesn't end after it starts is refused") {
    const auto end_lsn = GENERATE(as<std::uint64_t>{}, 0, 99, 100);
    fed_reader{{begin_at(100)}}.refuse(
        commit_at(100, end_lsn), kind::mismatch,
        "inconsistent Commit message at byte 0 (end_lsn is not after commit_lsn)");
    fed_reader{{begin_at(100)}}.accept(commit_at(100, 101));
}

TEST_CASE("E11: commits whose LSNs go back are refused before a row of them is sent on") {
    const auto commit_lsn = GENERATE(as<std::uint64_t>{}, 0, 100, 109);
    fed_reader{{begin_at(100), commit_at(100, 110)}}.refuse(
        begin_at(commit_lsn), kind::mismatch,
        "inconsistent Begin message at byte 0 (commit_lsn is behind an earlier commit)");
}

TEST_CASE("E11: a commit may start where the last one ended") {
    fed_reader{{begin_at(100), commit_at(100, 110), begin_at(110), commit_at(110, 120)}}.accept(
        emit_at(false, 121));
}

TEST_CASE("E11: messages outside of transactions are in the order of commits") {
    const std::string text =
        "inconsistent Logical message at byte 0 (lsn is not after the last unit)";
    const auto position = GENERATE(as<std::uint64_t>{}, 0, 109, 110);
    fed_reader{{begin_at(100), commit_at(100, 110)}}.refuse(emit_at(false, position),
                                                            kind::mismatch, text);
    fed_reader{{emit_at(false, 110)}}.refuse(emit_at(false, position), kind::mismatch, text);
    fed_reader{{emit_at(false, 110)}}.accept(begin_at(110));
    fed_reader{{emit_at(false, 110)}}.refuse(
        begin_at(109), kind::mismatch,
        "inconsistent Begin message at byte 0 (commit_lsn is behind an earlier commit)");
}

TEST_CASE("E12 and E13: a broken frame ends the stream as a broken message does") {
    stream_reader reader;
    const auto error_of = [&](const byte_vector& payload) {
        const auto came = reader.read(payload);
        REQUIRE_FALSE(came.has_value());
        return came.error().text();
    };
    CHECK(error_of({}) == "truncated message at byte 0 (CopyData type)");
    CHECK(error_of(wire{}.tag('w').bytes()) == "truncated XLogData frame at byte 1 (header)");
    CHECK(error_of(wire{}.tag('d').bytes()) ==
          "unknown CopyData type 0x64 'd' at byte 0 (CopyData type)");
    CHECK(error_of(in_frame({})) == "truncated message at byte 0 (message type)");
    CHECK(error_of(in_frame(wire{}.tag('S').u32(1).u8(1).bytes())) ==
          "unknown message type 0x53 'S' at byte 0 (message type)");
}

TEST_CASE("keepalives, types and origins come at any place of a transaction") {
    fed_reader reader{{begin_at(100), item("origin"), item("type"), item("relation_default")}};
    reader.accept(item("insert_text_null"));
    reader.accept(item("origin"));
    reader.accept(commit_at(100, 110));

    stream_reader plain;
    REQUIRE(plain.read(in_frame(begin_at(100))).has_value());
    const auto came = plain.read(captured(captures[1], "frame_keepalive"));
    REQUIRE(came.has_value());
    CHECK(std::holds_alternative<keepalive>(*came));
    CHECK(plain.open_transaction());
}

}  // namespace walrelay::pgoutput::test
