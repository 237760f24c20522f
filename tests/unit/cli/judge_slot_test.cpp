#include "judged.hpp"
#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

finding only_complaint(const facts& found) {
    const auto all = complaints(found);
    REQUIRE(all.size() == 1);
    return all[0];
}

TEST_CASE("A missing slot is to be made, unless a record says that there was one") {
    auto found = healthy_facts();
    found.slot.reset();
    auto one = only_complaint(found);
    CHECK(one.level == severity::stops);
    CHECK(says(one, "has a record of it"));
    CHECK(says(one, "exit 3"));
    CHECK(says(one, "0/200"));
    found.record.reset();
    one = only_complaint(found);
    CHECK(one.text == "does not exist");
    CHECK(mends_with(one, "walrelay sql -c relay.yaml --apply"));
}

TEST_CASE("A slot of another kind is named for what it is") {
    auto found = healthy_facts();
    found.slot->slot_type = "physical";
    CHECK(says(only_complaint(found), "physical"));
    found = healthy_facts();
    found.slot->plugin = "test_decoding";
    CHECK(says(only_complaint(found), "test_decoding"));
    found = healthy_facts();
    found.slot->database = "other";
    CHECK(says(only_complaint(found), "belongs to database other, not shop"));
    found = healthy_facts();
    found.slot->temporary = true;
    CHECK(says(only_complaint(found), "temporary"));
    CHECK(only_complaint(found).level == severity::stops);
}

TEST_CASE("A lost slot stops with its reason, one about to be lost warns") {
    auto found = healthy_facts();
    found.slot->wal_status = "lost";
    CHECK(only_complaint(found).level == severity::stops);
    CHECK(says(only_complaint(found), "wal_removed"));
    found.slot->wal_status = "reserved";
    found.slot->invalidation_reason = "idle_timeout";
    CHECK(says(only_complaint(found), "idle_timeout"));
    found = healthy_facts();
    found.slot->wal_status = "unreserved";
    CHECK(only_complaint(found).level == severity::warns);
}

TEST_CASE("A slot ahead of its record is a gap on the same timeline only") {
    auto found = healthy_facts();
    found.slot->confirmed_flush = {0x300};
    const auto one = only_complaint(found);
    CHECK(one.level == severity::stops);
    CHECK(says(one, "between 0/200 and 0/300"));
    found.timeline = 2;
    CHECK(complaints(found).empty());
    found = healthy_facts();
    found.slot->confirmed_flush = {0x100};
    CHECK(complaints(found).empty());
}

TEST_CASE("A record of another cluster stops") {
    auto found = healthy_facts();
    found.record->system_identifier = "42";
    CHECK(says(only_complaint(found), "another cluster"));
    found.record.reset();
    CHECK(complaints(found).empty());
}

TEST_CASE("A slot that is being read names the pid, and is no fault") {
    auto found = healthy_facts();
    found.slot->active_pid = 4711;
    CHECK(complaints(found).empty());
    const auto model = one_route_map();
    const auto all = judge(found, {model, "relay.yaml"});
    CHECK(std::any_of(all.begin(), all.end(), [](const finding& one) {
        return one.level == severity::info && says(one, "pid 4711");
    }));
}

TEST_CASE("A slot that a failover would lose warns where a standby exists") {
    auto found = healthy_facts();
    found.replication.slot_failover = false;
    CHECK(complaints(found).empty());
    found.replication.has_standbys = true;
    const auto one = only_complaint(found);
    CHECK(one.level == severity::warns);
    CHECK(mends_with(one, "ALTER_REPLICATION_SLOT \"s\" (FAILOVER true);"));
    found.replication.slot_failover = true;
    CHECK(complaints(found).empty());
    found.replication.slot_failover.reset();
    CHECK(complaints(found).empty());
}

TEST_CASE("A slot that brings transactions before they are committed stops") {
    auto found = healthy_facts();
    found.replication.slot_two_phase = true;
    CHECK(only_complaint(found).level == severity::stops);
    CHECK(says(only_complaint(found), "two_phase"));
}

TEST_CASE("Much retained WAL warns, also when it nears the limit") {
    auto found = healthy_facts();
    found.slot->retained_bytes = 5ULL << 30;
    CHECK(says(only_complaint(found), "5.0 GiB"));
    found.slot->retained_bytes = 60ULL << 20;
    CHECK(complaints(found).empty());
    found.capacity.max_slot_wal_keep_mb = 100;
    CHECK(says(only_complaint(found), "more than half"));
}

TEST_CASE("Settings that let slots or disks go are told") {
    auto found = healthy_facts();
    found.capacity.idle_replication_slot_timeout = "1d";
    CHECK(says(only_complaint(found), "1d"));
    found = healthy_facts();
    found.capacity.max_slot_wal_keep_mb = -1;
    CHECK(complaints(found).empty());
    const auto model = one_route_map();
    const auto all = judge(found, {model, "relay.yaml"});
    CHECK(std::any_of(all.begin(), all.end(), [](const finding& one) {
        return one.subject == "max_slot_wal_keep_size" && one.level == severity::info;
    }));
}

TEST_CASE("Old and prepared transactions are named with what ends them") {
    auto found = healthy_facts();
    found.old_transactions.push_back({"prepared transaction 'g'", "rollback prepared 'g';", 600});
    const auto one = only_complaint(found);
    CHECK(one.level == severity::warns);
    CHECK(says(one, "prepared transaction 'g' has been open for 10 minutes"));
    CHECK(mends_with(one, "rollback prepared 'g';"));
}

TEST_CASE("Bytes are written for people") {
    CHECK(readable_bytes(0) == "0 B");
    CHECK(readable_bytes(1023) == "1023 B");
    CHECK(readable_bytes(1536) == "1.5 KiB");
    CHECK(readable_bytes(3ULL << 40) == "3.0 TiB");
    CHECK(readable_bytes(~0ULL) == "16777216.0 TiB");
}

}  // namespace

}  // namespace walrelay::cli
