// Starting to read a slot: who may, and what is said when it isn't possible.
#include "component/postgres/fixture.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

sql_result<std::unique_ptr<postgres::replication_stream>> start_with(
    loop& on, const std::string& slot, std::vector<std::string> publications,
    stream_record& record) {
    auto link = on.connect(shared_cluster().conninfo("relay", "shop"), true);
    std::optional<sql_result<std::unique_ptr<postgres::replication_stream>>> answer;
    const auto work = [&]() -> boost::asio::awaitable<void> {
        postgres::stream_request request;
        request.slot = slot;
        request.publications = std::move(publications);
        auto made = co_await postgres::replication_stream::start(std::move(link),
                                                                 std::move(request), record);
        answer.emplace(std::move(made));
    };
    on.run(work());
    return std::move(*answer);
}

/// The refusal, checked for what each of them must have.
postgres::sql_error refusal_of(const std::string& slot) {
    loop on;
    stream_record record;
    const auto refused = start_stream(on, shared_cluster(), slot, record);
    REQUIRE_FALSE(refused);
    CAPTURE(refused.error().what.text());
    CHECK(refused.error().connection_lost);
    CHECK_FALSE(refused.error().what.hint.empty());
    CHECK(record.ends == 0);
    return refused.error();
}

}  // namespace

TEST_CASE("a slot that doesn't exist is named, with what makes one") {
    const auto failure = refusal_of("no_such_slot");
    CHECK(failure.sqlstate == "42704");
    CHECK_THAT(failure.what.text(), ContainsSubstring("no_such_slot"));
    CHECK_THAT(failure.what.hint, ContainsSubstring("walrelay sql --apply"));
}

TEST_CASE("a physical slot is told as such") {
    auto& cluster = shared_cluster();
    cluster.sql("SELECT pg_create_physical_replication_slot('physical')");
    const auto failure = refusal_of("physical");
    CHECK_THAT(failure.what.cause, ContainsSubstring("it is a physical slot"));
    CHECK_THAT(failure.what.hint, ContainsSubstring("pgoutput"));
    cluster.sql("SELECT pg_drop_replication_slot('physical')");
}

TEST_CASE("a slot of another database is told with both names") {
    auto& cluster = shared_cluster();
    cluster.sql("SELECT pg_create_logical_replication_slot('elsewhere', 'pgoutput')", "postgres");
    const auto failure = refusal_of("elsewhere");
    CHECK(failure.sqlstate == "55000");
    CHECK_THAT(failure.what.cause,
               ContainsSubstring("\"postgres\"") && ContainsSubstring("\"shop\""));
    CHECK_THAT(failure.what.hint, ContainsSubstring("dbname"));
    cluster.sql("SELECT pg_drop_replication_slot('elsewhere')");
}

TEST_CASE("a slot with another plugin is told with the plugin") {
    const test_slot slot{shared_cluster(), "decoding", "test_decoding"};
    const auto failure = refusal_of(slot.name());
    CHECK_THAT(failure.what.cause, ContainsSubstring("its plugin is \"test_decoding\""));
}

TEST_CASE("a slot that another process holds is told with its pid, and can be taken over") {
    const test_slot slot{shared_cluster(), "held"};
    loop on;
    stream_record first_record;
    auto first = start_stream(on, shared_cluster(), slot.name(), first_record);
    REQUIRE(first);
    const auto failure = refusal_of(slot.name());
    CHECK(failure.sqlstate == "55006");
    CHECK_THAT(failure.what.cause,
               ContainsSubstring("PID " + std::to_string((*first)->backend_pid())));
    on.run((*first)->close());
    slot.wait_until_free();
    stream_record second_record;
    const auto second = start_stream(on, shared_cluster(), slot.name(), second_record);
    CHECK(second);
    CHECK(first_record.ends == 0);
}

TEST_CASE("an invalidated slot is told as lost") {
    postgres_cluster::options wanted;
    wanted.settings = "max_slot_wal_keep_size = 1MB\nmin_wal_size = 32MB\nmax_wal_size = 32MB";
    postgres_cluster cluster{wanted};
    prepare_shop(cluster);
    const test_slot slot{cluster, "lost"};
    for (int i = 0; i < 4; ++i)
        cluster.sql("CREATE TABLE x (a int);\nDROP TABLE x;\nSELECT pg_switch_wal()");
    cluster.sql("CHECKPOINT");
    REQUIRE(cluster.sql("SELECT wal_status FROM pg_replication_slots") == "lost");
    loop on;
    stream_record record;
    const auto refused = start_stream(on, cluster, slot.name(), record);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().sqlstate == "55000");
    CHECK_THAT(refused.error().what.cause, ContainsSubstring("wal_status is lost"));
    CHECK_THAT(refused.error().what.hint, ContainsSubstring("walrelay recover"));
}

TEST_CASE("names that the server would cut, fold or refuse don't reach it") {
    loop on;
    stream_record record;
    for (const std::string& slot : {std::string{}, std::string{"Upper"}, std::string{"a b"},
                                    std::string{"q\"uote"}, std::string(64, 'a')}) {
        const auto refused = start_with(on, slot, {"shop_items"}, record);
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().what.cause, ContainsSubstring("not a possible name"));
        CHECK_THAT(refused.error().what.hint, ContainsSubstring("source.slot"));
    }
    for (const std::string& name : {std::string{}, std::string(64, 'a'), std::string{"a\0b", 3}}) {
        const auto refused = start_with(on, "walrelay", {name}, record);
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().what.hint, ContainsSubstring("source.publication"));
    }
}

TEST_CASE("a publication may have quotes, commas and capitals in its name") {
    auto& cluster = shared_cluster();
    cluster.sql(
        "CREATE TABLE odd (a int);\nCREATE TABLE odder (a int);\n"
        "CREATE PUBLICATION \"we\"\"ird,P'ub\" FOR TABLE odd;\nCREATE PUBLICATION \"Upper\" FOR "
        "TABLE odder",
        "shop");
    const test_slot slot{cluster, "odd_names"};
    cluster.sql("INSERT INTO odd VALUES (1);\nINSERT INTO odder VALUES (1);\n", "shop");
    loop on;
    stream_record record;
    const auto stream = start_with(on, slot.name(), {"we\"ird,P'ub", "Upper"}, record);
    REQUIRE(stream);
    (*stream)->resume();
    CHECK(on.until([&] { return record.inserts == 2; }));
    CHECK_FALSE(record.end);
}

TEST_CASE("a publication that is missing ends the stream with its name at the first change") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "unpublished"};
    cluster.sql("INSERT INTO items (body) VALUES ('x')", "shop");
    loop on;
    stream_record record;
    const auto stream = start_with(on, slot.name(), {"not_there"}, record);
    REQUIRE(stream);
    (*stream)->resume();
    REQUIRE(on.until([&] { return record.end.has_value(); }));
    CHECK(record.end->sqlstate == "42704");
    CHECK_THAT(record.end->what.cause,
               ContainsSubstring("not_there") && ContainsSubstring("associated LSN"));
    CHECK_THAT(record.end->what.hint, ContainsSubstring("publication"));
}

TEST_CASE("a wal_sender_timeout below 30 s stands, and its expiry is explained") {
    auto& cluster = shared_cluster();
    const test_slot slot{cluster, "timed"};
    loop on;
    stream_record record;
    const auto stream =
        start_stream(on, cluster, slot.name(), record, "options='-c wal_sender_timeout=1s'");
    REQUIRE(stream);
    (*stream)->resume();  // and never a status
    REQUIRE(on.until([&] { return record.end.has_value(); }));
    CHECK(record.end->connection_lost);
    CHECK(record.end->sqlstate.empty());
    CHECK_THAT(record.end->what.hint, ContainsSubstring("wal_sender_timeout"));
}
