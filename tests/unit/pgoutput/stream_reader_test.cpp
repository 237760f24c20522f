// The captured session through the reader: what the engine is told of it.
#include "walrelay/pgoutput/stream_reader.hpp"

#include <string>
#include <vector>

#include "capture.hpp"
#include "support/catch.hpp"

namespace walrelay::pgoutput::test {

namespace {

std::string ignored_name(change_ignored::kind what) {
    switch (what) {
        case change_ignored::kind::update:
            return "update ";
        case change_ignored::kind::remove:
            return "delete ";
        case change_ignored::kind::truncate:
            return "truncate ";
    }
    return "?";
}

/// One word or two an event; positions are checked elsewhere.
struct event_name {
    std::string operator()(nothing_new) const { return ""; }

    std::string operator()(const transaction_began&) const { return "begin"; }

    std::string operator()(const row_inserted& row) const {
        return "insert " + (*row.table)->qualified_name() + " #" + std::to_string(row.ordinal);
    }

    std::string operator()(const change_ignored& change) const {
        return ignored_name(change.what) + (*change.table)->qualified_name();
    }

    std::string operator()(const transaction_committed&) const { return "commit"; }

    std::string operator()(const relation_changed& change) const {
        return "table " + (*change.table)->qualified_name();
    }

    std::string operator()(const message_emitted& emitted) const {
        return std::string{"message "} + (emitted.transactional ? "inside" : "outside");
    }

    std::string operator()(const keepalive&) const { return ""; }
};

using names = std::vector<std::string>;

/// What tests/support/capture_pgoutput.py does, as the engine hears it.
const names expected_session{
    "begin",
    "table public.item",
    "insert public.item #0",
    "commit",
    "begin",
    "insert public.item #0",
    "commit",
    "begin",
    "update public.item",
    "commit",
    "begin",
    "update public.item",
    "commit",
    "begin",
    "table public.whole",
    "insert public.whole #0",
    "commit",
    "begin",
    "update public.whole",
    "commit",
    "begin",
    "delete public.whole",
    "commit",
    "begin",
    "delete public.item",
    "commit",
    "begin",
    "message inside",
    "commit",
    "message outside",
    "begin",
    "table public.item",
    "truncate public.item",
    "commit",
    "begin",
    "table public.item",
    "table public.whole",
    "truncate public.item",
    "commit",
    "begin",
    "table public.item",
    "insert public.item #0",
    "commit",
};

}  // namespace

TEST_CASE("a session of a real server is told event by event") {
    const capture from = GENERATE(from_range(captures));
    INFO("server " << from.folder);
    stream_reader reader;
    names told;
    std::size_t transactions = 0;
    std::size_t keepalives = 0;
    bool asked = false;
    for (const byte_vector& payload : captured_session(from)) {
        const auto came = reader.read(payload);
        if (!came) FAIL(came.error().text());
        const std::string name = std::visit(event_name{}, *came);
        if (!name.empty()) told.push_back(name);
        if (name == "commit") {
            ++transactions;
            // Version 14 sends transactions in which nothing was published.
            if (told.at(told.size() - 2) == "begin") told.resize(told.size() - 2);
        }
        if (const auto* const alive = std::get_if<keepalive>(&*came)) {
            ++keepalives;
            asked = alive->reply_requested;
        }
    }
    CHECK(told == expected_session);
    CHECK(transactions == from.transactions);
    CHECK(keepalives == 5);
    CHECK(asked);
    CHECK(reader.last_end().value == from.last_end);
    CHECK_FALSE(reader.open_transaction());
}

TEST_CASE("a row can be sent on before its commit: the transaction is known from Begin on") {
    const capture from = GENERATE(from_range(captures));
    stream_reader reader;
    REQUIRE(reader.read(in_frame(captured(from, "begin"))).has_value());
    REQUIRE(reader.open_transaction());
    CHECK(*reader.open_transaction() ==
          transaction{lsn{from.commit_lsn}, pg_time{from.commit_time}, from.xid});
    REQUIRE(reader.read(in_frame(captured(from, "relation_default"))).has_value());

    for (std::uint32_t ordinal = 0; ordinal < 3; ++ordinal) {
        const byte_vector payload = in_frame(captured(from, "insert_text_null"));
        const auto came = reader.read(payload);
        REQUIRE(came.has_value());
        const auto& row = std::get<row_inserted>(*came);
        CHECK(row.ordinal == ordinal);
        CHECK((*row.table)->qualified_name() == "public.item");
        CHECK((*row.row.begin()).text == "2");
        CHECK(row.row.size() == 5);
    }

    const auto closed = reader.read(in_frame(captured(from, "commit")));
    REQUIRE(closed.has_value());
    CHECK(std::get<transaction_committed>(*closed).end_lsn.value == from.end_lsn);
    CHECK(reader.last_end().value == from.end_lsn);
    CHECK_FALSE(reader.open_transaction());
}

TEST_CASE("only inserts are numbered, and from 0 in each transaction") {
    stream_reader reader;
    const capture& from = captures[1];
    const auto ordinal_of_insert = [&] {
        const auto came = reader.read(in_frame(captured(from, "insert_text_null")));
        REQUIRE(came.has_value());
        return std::get<row_inserted>(*came).ordinal;
    };
    const auto read = [&](const byte_vector& bytes) {
        REQUIRE(reader.read(in_frame(bytes)).has_value());
    };
    read(captured(from, "begin"));
    read(captured(from, "relation_default"));
    CHECK(ordinal_of_insert() == 0);
    read(captured(from, "update"));
    read(captured(from, "delete_key"));
    read(captured(from, "truncate"));
    read(captured(from, "message_transactional"));
    CHECK(ordinal_of_insert() == 1);
    read(captured(from, "commit"));
    read(wire{}.tag('B').u64(from.end_lsn).u64(0).u32(1).bytes());
    CHECK(ordinal_of_insert() == 0);
}

TEST_CASE("a message outside of transactions is a unit of its own") {
    const capture from = GENERATE(from_range(captures));
    stream_reader reader;
    const byte_vector payload = in_frame(captured(from, "message_outside"));
    const auto came = reader.read(payload);
    REQUIRE(came.has_value());
    const auto& emitted = std::get<message_emitted>(*came);
    CHECK_FALSE(emitted.transactional);
    CHECK(emitted.position.value == from.message_outside);
    CHECK(emitted.prefix == "pfx");
    CHECK(emitted.content.empty());
    CHECK(reader.last_end().value == from.message_outside);
}

TEST_CASE("a transaction without rows is a unit like any other") {
    stream_reader reader;
    REQUIRE(reader.read(in_frame(captured(captures[0], "begin"))).has_value());
    REQUIRE(reader.read(in_frame(captured(captures[0], "commit"))).has_value());
    CHECK(reader.last_end().value == captures[0].end_lsn);
}

}  // namespace walrelay::pgoutput::test
