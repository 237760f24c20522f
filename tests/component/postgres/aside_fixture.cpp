#include "component/postgres/aside_fixture.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace walrelay::test {

namespace {

const std::string& shared_database() {
    static const std::string name = [] {
        shared_cluster().sql("CREATE DATABASE aside");
        install_schema(shared_cluster(), "aside");
        return std::string{"aside"};
    }();
    return name;
}

std::string next_slot() {
    static int made = 0;
    return "aside_" + std::to_string(++made);
}

std::string bytes_of(std::initializer_list<int> values) {
    std::string out;
    for (const int value : values)
        out += static_cast<char>(value);
    return out;
}

}  // namespace

void install_schema(const postgres_cluster& cluster, const std::string& database) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry :
         std::filesystem::directory_iterator{std::string{WALRELAY_SOURCE_DIR} + "/sql"}) {
        if (entry.path().extension() == ".sql") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    loop on;
    const auto link = on.connect(cluster.conninfo("postgres", database));
    for (const auto& file : files) {
        std::ifstream in{file};
        on.ask(*link, std::string{std::istreambuf_iterator<char>{in}, {}});
    }
    on.ask(*link, "GRANT walrelay_relay TO relay");
}

postgres::aside_insert refused_row(lsn commit, std::uint32_t ordinal) {
    postgres::aside_insert row;
    row.position.commit_lsn = commit;
    row.position.commit_time_us = 1'700'000'000'123'457;
    row.position.xid = 4'000'000'000;
    row.position.ordinal = ordinal;
    row.messages = {bytes_of({'R', 0, 255}), bytes_of({'I', 0, 0xC3, 0x28, '\\', '"'})};
    row.table = "walrelay.outbox";
    row.event_id = "e" + std::to_string(commit.value) + "-" + std::to_string(ordinal);
    row.sink = "out";
    row.destination = "/in";
    row.key = "k";
    row.lane = 0xFFFF'FFFF'0000'0001;
    row.error = "HTTP 400";
    row.attempts = 3;
    return row;
}

aside_slot::aside_slot() : aside_slot{shared_database()} {}

aside_slot::aside_slot(std::string database) : database_{std::move(database)} {
    scope.slot = next_slot();
    link = connect();
    scope.epoch = draw_epoch(*link);
}

std::unique_ptr<postgres::connection> aside_slot::connect() {
    return events.connect(shared_cluster().conninfo("relay", database_));
}

std::uint64_t aside_slot::draw_epoch(postgres::connection& by) {
    const auto server = ask(postgres::read_identity(by)).value();
    scope.system_identifier = server.system_identifier;
    return ask(postgres::draw_epoch(by, scope.slot, server, lsn{1})).value();
}

std::vector<engine::aside_put_answer> aside_slot::put(std::vector<postgres::aside_insert> rows) {
    const auto answer = ask(postgres::put_aside(*link, scope, std::move(rows)));
    REQUIRE(answer);
    REQUIRE(answer->has_value());
    return **answer;
}

engine::aside_id aside_slot::put(postgres::aside_insert row) {
    std::vector<postgres::aside_insert> rows;
    rows.push_back(std::move(row));
    return put(std::move(rows)).at(0).id;
}

void aside_slot::change(engine::aside_change row) {
    std::vector<engine::aside_change> rows;
    rows.push_back(std::move(row));
    const auto done = ask(postgres::change_aside(*link, scope, std::move(rows)));
    REQUIRE(done);
    CHECK(*done);
}

std::vector<postgres::aside_loaded> aside_slot::load(std::vector<postgres::aside_lane> lanes,
                                                     std::uint64_t most_bytes) {
    auto loaded = ask(postgres::load_aside(*link, scope, std::move(lanes), most_bytes));
    REQUIRE(loaded);
    return std::move(*loaded);
}

postgres::aside_summary aside_slot::summary(lsn from) {
    auto read = ask(postgres::read_aside(*link, scope, from));
    REQUIRE(read);
    return std::move(*read);
}

std::string aside_slot::cell(const std::string& question) {
    return events.ask(*link, "with rows as (select * from walrelay.parked where slot = '" +
                                 scope.slot + "') " + question);
}

}  // namespace walrelay::test
