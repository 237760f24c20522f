#include "status_page.hpp"
#include "status_sentence.hpp"
#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

/// A relay that streams, and has delivered nearly all.
status_facts healthy() {
    status_facts found;
    found.file = "relay.yaml";
    found.slot = "s";
    found.listen = "127.0.0.1:9187";
    postgres::slot_state slot;
    slot.name = "s";
    slot.active_pid = 12;
    slot.restart_lsn = {0x1000};
    slot.confirmed_flush = {0x4000};
    slot.wal_status = "reserved";
    slot.retained_bytes = 16 << 10;
    found.database.slot = slot;
    found.database.wal_end = {0x5000};
    found.database.record = postgres::progress_row{{0x4800}, 4, "7", 1, std::nullopt};
    found.database.record_age_seconds = 2;
    found.database.where = "socket /run/postgresql";
    admin::snapshot relay;
    relay.version = "1.0.0";
    relay.slot = "s";
    relay.state = "streaming";
    relay.ready = true;
    admin::sink_figures sink;
    sink.name = "events";
    sink.kind = "kafka";
    sink.delivered = 10;
    relay.sinks.push_back(sink);
    found.relay = relay;
    return found;
}

status_facts without_relay() {
    auto found = healthy();
    found.relay.reset();
    found.database.slot->active_pid.reset();
    return found;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_CASE("Nothing holds WAL back where the relay is ready and little is kept") {
    CHECK(what_holds_wal(healthy()) == "nothing holds WAL back: the slot keeps 16.0 KiB");
}

TEST_CASE("What is delivered and still kept goes with the next checkpoints") {
    auto found = healthy();
    found.database.slot->retained_bytes = 100ULL << 20;
    CHECK(contains(what_holds_wal(found),
                   "nothing holds WAL back: the slot keeps 100.0 MiB, most "
                   "of it delivered"));
}

TEST_CASE("The stall that has lasted longest holds WAL, named by what stalls") {
    auto found = healthy();
    auto& sink = found.relay->sinks[0];
    sink.stalls.push_back({"key", "k1", "HTTP 500", 3, 20});
    sink.stalls.push_back({"target", "orders", "unknown topic", 9, 200});
    CHECK(what_holds_wal(found) ==
          "WAL is held by sink events: topic orders stalls for 3 min "
          "(unknown topic); the slot keeps 16.0 KiB");
    sink.kind = "http";
    sink.stalls[1].name = "/in";
    CHECK(contains(what_holds_wal(found), "sink events: URL /in stalls for 3 min"));
    sink.stalls.pop_back();
    CHECK(contains(what_holds_wal(found), "sink events: key k1 stalls for 20 s (HTTP 500)"));
    sink.stalls[0] = {"sink", "", "HTTP 401", 3, 7200};
    CHECK(contains(what_holds_wal(found), "sink events, which stalls for 2 h (HTTP 401)"));
}

TEST_CASE("A halt holds WAL before all else") {
    auto found = healthy();
    found.relay->sinks[0].stalls.push_back({"sink", "", "x", 1, 5});
    found.relay->halt = "table public.t, id 7: too large";
    CHECK(contains(what_holds_wal(found), "WAL is held by the halt: table public.t, id 7"));
}

TEST_CASE("A relay that is not ready holds WAL with its reason") {
    auto found = healthy();
    found.relay->not_ready_because = {"progress can't be recorded: lock timeout"};
    CHECK(contains(what_holds_wal(found), "the relay, which is not ready: progress can't be"));
}

TEST_CASE("A backlog is told by what fills it, once it is large") {
    auto found = healthy();
    found.relay->limit_held_by = "limits.in_flight_events is full: held by sink events";
    CHECK(contains(what_holds_wal(found), "nothing holds"));
    found.relay->lag_bytes = 2ULL << 30;
    CHECK(contains(what_holds_wal(found), "held by a backlog: limits.in_flight_events is full"));
    found.relay->limit_held_by.clear();
    CHECK(contains(what_holds_wal(found), "the relay has 2.0 GiB to deliver"));
}

TEST_CASE("A slot that nobody reads holds WAL until a relay is started") {
    auto found = without_relay();
    found.database.record_age_seconds = 600;
    CHECK(what_holds_wal(found) ==
          "WAL is held by nobody reading the slot; the last record is 10 min old: start the relay; "
          "the slot keeps 16.0 KiB");
    found.database.unread_seconds = 90;
    CHECK(contains(what_holds_wal(found), "nobody reading the slot for 1 min: start the relay"));
    found.database.record->halt = "table t";
    CHECK(contains(what_holds_wal(found), "which had halted (table t)"));
    found.database.record.reset();
    found.database.unread_seconds.reset();
    CHECK(contains(what_holds_wal(found), "nobody reading the slot: start the relay"));
}

TEST_CASE("Another reader of the slot is named when it is far behind") {
    auto found = healthy();
    found.relay.reset();
    CHECK(contains(what_holds_wal(found), "nothing holds WAL back"));
    found.database.wal_end = {0x8000000};
    CHECK(contains(what_holds_wal(found), "held by the reader with pid 12"));
}

TEST_CASE("A prepared transaction is named with the two commands that end it") {
    auto found = healthy();
    found.database.oldest = open_transaction{"it's", "shop", 0, "", 180};
    CHECK(what_holds_wal(found) ==
          "WAL is held by a prepared transaction 'it''s' since 3 min: COMMIT PREPARED 'it''s' or "
          "ROLLBACK PREPARED 'it''s', in database shop, ends it; the slot keeps 16.0 KiB");
}

TEST_CASE("An open transaction is named by its pid, with its age where that may be seen") {
    auto found = healthy();
    found.database.oldest = open_transaction{"", "shop", 123, "report", 180};
    CHECK(contains(what_holds_wal(found),
                   "WAL is held by the transaction of pid 123 (report) since 3 min"));
    found.database.oldest->seconds.reset();
    found.database.oldest->application.clear();
    CHECK(contains(what_holds_wal(found), "the transaction of pid 123: SELECT pg_terminate_back"));
}

TEST_CASE("Of a stall and an open transaction the one that holds more is named") {
    auto found = healthy();
    found.relay->sinks[0].stalls.push_back({"sink", "", "HTTP 401", 3, 60});
    found.database.oldest = open_transaction{"g", "shop", 0, "", 180};
    CHECK(contains(what_holds_wal(found), "prepared transaction"));
    found.database.wal_end = {0x100000};
    CHECK(contains(what_holds_wal(found), "sink events"));
}

TEST_CASE("A slot that is missing or lost holds nothing, and the way on is told") {
    auto found = healthy();
    found.database.slot->wal_status = "lost";
    found.database.slot->invalidation_reason = "idle_timeout";
    CHECK(what_holds_wal(found) ==
          "no WAL is held any more: the slot is lost (idle_timeout): "
          "walrelay check -c relay.yaml tells the way on");
    found.database.slot.reset();
    CHECK(contains(what_holds_wal(found), "no WAL is held: the slot does not exist"));
}

TEST_CASE("A database that does not answer leaves what the relay tells") {
    auto found = healthy();
    found.database = {};
    found.database.fault = postgres::sql_error{{"connect to", "host x", "refused", ""}, "", true};
    CHECK(contains(what_holds_wal(found), "is not known"));
    found.relay->halt = "h";
    CHECK(contains(what_holds_wal(found), "the relay tells of the halt: h"));
    CHECK(contains(status_page(found), "database    connect to host x: refused"));
}

TEST_CASE("What is delivered counts from the record or the slot, whichever is further") {
    auto found = healthy();
    CHECK(undelivered_bytes(found.database) == 0x800);
    found.database.record.reset();
    CHECK(undelivered_bytes(found.database) == 0x1000);
    found.database.wal_end = {0x100};
    CHECK(undelivered_bytes(found.database) == 0);
}

TEST_CASE("Times are written for people") {
    CHECK(readable_seconds(-1) == "0 s");
    CHECK(readable_seconds(59.9) == "59 s");
    CHECK(readable_seconds(60) == "1 min");
    CHECK(readable_seconds(3600) == "1 h");
    CHECK(readable_seconds(200'000) == "2 days");
}

TEST_CASE("The page of a running relay is aligned and shows each part") {
    auto found = healthy();
    found.relay->lag_bytes = 3 << 19;
    found.relay->lag_seconds = 0.25;
    found.relay->epoch = 4;
    found.relay->sinks[0].stalls.push_back({"target", "orders", "unknown topic", 9, 200});
    CHECK(status_page(found) ==
          "relay       streaming, ready (walrelay 1.0.0, epoch 4)\n"
          "lag         1.5 MiB, 0.2 s; 0 events (0 B) in memory\n"
          "positions   received 0/0, delivered 0/0, recorded 0/0, acknowledged 0/0, server 0/0\n"
          "sink        events (kafka): 10 delivered, 0 on the wire, 0 waiting\n"
          "            stalled: target orders for 3 min: unknown topic\n"
          "database    socket /run/postgresql\n"
          "slot        s, read by pid 12, confirmed 0/4000, keeps 16.0 KiB of WAL (reserved)\n"
          "record      delivered up to 0/4800, epoch 4, written 2 s ago\n"
          "wal         WAL is held by sink events: topic orders stalls for 3 min (unknown topic); "
          "the slot keeps 16.0 KiB\n");
}

TEST_CASE("Without a relay the lag comes from the database") {
    const auto page = status_page(without_relay());
    CHECK(contains(page, "relay       none answers at admin.listen (127.0.0.1:9187)\n"));
    CHECK(contains(page, "lag         2.0 KiB, at most 2 s\n"));
    CHECK(contains(page, "slot        s, not in use"));
}

}  // namespace

}  // namespace walrelay::cli
