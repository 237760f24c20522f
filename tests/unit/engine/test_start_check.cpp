#include "support/catch.hpp"
#include "walrelay/engine/start_check.hpp"

using namespace walrelay;
using namespace walrelay::engine;

namespace {

start_facts good() {
    slot_facts slot{"shop", "pgoutput", "logical",  "shopdb", "shopdb",
                    false,  lsn{0x500}, "reserved", ""};
    return {"shop", slot, record_facts{lsn{0x600}, "77"}, "77"};
}

}  // namespace

TEST_CASE("a slot at or behind its record may start", "[start]") {
    start_facts facts = good();
    CHECK_FALSE(refuse_start(facts).has_value());
    facts.slot->confirmed_flush = lsn{0x600};
    CHECK_FALSE(refuse_start(facts).has_value());
    facts.record.reset();
    CHECK_FALSE(refuse_start(facts).has_value());
}

TEST_CASE("a recreated or advanced slot is refused with the interval that may be lost", "[start]") {
    start_facts facts = good();
    facts.slot->confirmed_flush = lsn{0x601};
    const auto refused = refuse_start(facts);
    REQUIRE(refused);
    CHECK(refused->exit_code == 3);
    CHECK_THAT(refused->why.text(), ContainsSubstring("(0/600, 0/601]"));
}

TEST_CASE("a missing slot is exit 2 at the first start and exit 3 when a record exists",
          "[start]") {
    start_facts facts = good();
    facts.slot.reset();
    CHECK(refuse_start(facts)->exit_code == 3);
    CHECK_THAT(refuse_start(facts)->why.text(), ContainsSubstring("0/600"));
    facts.record.reset();
    CHECK(refuse_start(facts)->exit_code == 2);
    CHECK_THAT(refuse_start(facts)->why.text(), ContainsSubstring("walrelay sql"));
}

TEST_CASE("another cluster is exit 3, also when its slot is missing", "[start]") {
    start_facts facts = good();
    facts.system_identifier = "78";
    CHECK(refuse_start(facts)->exit_code == 3);
    facts.slot.reset();
    CHECK(refuse_start(facts)->exit_code == 3);
    CHECK_THAT(refuse_start(facts)->why.text(), ContainsSubstring("another cluster"));
}

TEST_CASE("a lost slot is exit 4 and names what is gone", "[start]") {
    start_facts facts = good();
    facts.slot->wal_status = "lost";
    facts.slot->invalidation_reason = "wal_removed";
    CHECK(refuse_start(facts)->exit_code == 4);
    CHECK_THAT(refuse_start(facts)->why.text(), ContainsSubstring("wal_removed"));
}

TEST_CASE("a slot of another kind, plugin or database is exit 2 by name", "[start]") {
    start_facts facts = good();
    facts.slot->slot_type = "physical";
    CHECK_THAT(refuse_start(facts)->why.text(), ContainsSubstring("physical"));
    facts = good();
    facts.slot->plugin = "test_decoding";
    CHECK_THAT(refuse_start(facts)->why.text(), ContainsSubstring("test_decoding"));
    facts = good();
    facts.slot->database = "other";
    CHECK_THAT(refuse_start(facts)->why.text(), ContainsSubstring("\"other\""));
    facts = good();
    facts.slot->temporary = true;
    CHECK(refuse_start(facts)->exit_code == 2);
}

TEST_CASE("errors of Postgres are tried again, waited for, or told to the operator", "[start]") {
    CHECK(classify("57P01", "") == connection_fault::transient);
    CHECK(classify("53300", "") == connection_fault::transient);
    CHECK(classify("", "connection refused") == connection_fault::transient);
    CHECK(classify("55006", "") == connection_fault::slot_busy);
    CHECK(classify("28P01", "") == connection_fault::configuration);
    CHECK(classify("42704", "") == connection_fault::configuration);
    CHECK(classify("", "fe_sendauth: no password supplied") == connection_fault::configuration);
    CHECK(classify("", "SSL error: certificate verify failed") == connection_fault::configuration);
}
