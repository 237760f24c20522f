#include "support/catch.hpp"
#include "walrelay/engine/invariant.hpp"
#include "walrelay/engine/ledger.hpp"

using namespace walrelay;
using engine::ledger;

TEST_CASE("what is safe is the end of the longest run of resolved units", "[ledger]") {
    ledger units;
    const auto first = units.begin(1);
    units.add_event();
    units.commit(lsn{110});
    const auto second = units.begin(2);
    units.add_event();
    units.add_event();
    units.commit(lsn{120});
    CHECK(units.received() == lsn{120});

    units.resolve(second);
    units.resolve(second);
    CHECK(units.safe() == lsn{0});
    CHECK(units.oldest_commit_time_us() == 1);
    units.resolve(first);
    CHECK(units.safe() == lsn{120});
    CHECK(units.idle());
}

TEST_CASE("a transaction whose rows are all delivered isn't safe before its commit", "[ledger]") {
    ledger units;
    const auto open = units.begin(1);
    units.add_event();
    units.resolve(open);
    CHECK(units.safe() == lsn{0});
    units.commit(lsn{200});
    CHECK(units.safe() == lsn{200});
}

TEST_CASE("a keepalive moves nothing while a transaction is open or an event is unresolved",
          "[ledger]") {
    ledger units;
    units.adopt(lsn{50});
    CHECK(units.safe() == lsn{50});
    const auto unit = units.begin(1);
    units.adopt(lsn{60});
    CHECK(units.safe() == lsn{50});
    units.add_event();
    units.commit(lsn{70});
    units.adopt(lsn{80});
    CHECK(units.safe() == lsn{50});
    units.resolve(unit);
    units.adopt(lsn{80});
    CHECK(units.safe() == lsn{80});
    units.adopt(lsn{75});
    CHECK(units.safe() == lsn{80});
}

TEST_CASE("a million resolved transactions behind a stuck one take one entry", "[ledger]") {
    ledger units;
    const auto stuck = units.begin(1);
    units.add_event();
    units.commit(lsn{10});
    for (std::uint64_t i = 0; i < 1'000'000; ++i) {
        const auto unit = units.begin(2);
        units.add_event();
        units.commit(lsn{20 + i});
        units.resolve(unit);
    }
    CHECK(units.entries() == 2);
    CHECK(units.complete_events() == 1'000'001);
    CHECK(units.safe_events() == 0);
    units.resolve(stuck);
    CHECK(units.safe() == lsn{20 + 999'999});
    CHECK(units.safe_events() == 1'000'001);
}

TEST_CASE("an empty transaction is safe with its commit", "[ledger]") {
    ledger units;
    static_cast<void>(units.begin(1));
    units.commit(lsn{33});
    CHECK(units.safe() == lsn{33});
    CHECK(units.complete_events() == 0);
}

TEST_CASE("what breaks the order of units ends the process", "[ledger]") {
    ledger units;
    CHECK_THROWS_AS(units.commit(lsn{1}), engine::invariant_violation);
    CHECK_THROWS_AS(units.add_event(), engine::invariant_violation);
    const auto unit = units.begin(1);
    CHECK_THROWS_AS(units.begin(1), engine::invariant_violation);
    CHECK_THROWS_AS(units.resolve(unit), engine::invariant_violation);
}
