#include "support/catch.hpp"
#include "walrelay/engine/progress_schedule.hpp"

using namespace walrelay;
using namespace std::chrono_literals;
using engine::ledger;
using engine::progress_schedule;

namespace {

constexpr time_point start{1h};

void deliver(ledger& units, lsn end, int events = 1) {
    const auto unit = units.begin(1);
    for (int i = 0; i < events; ++i)
        units.add_event();
    units.commit(end);
    for (int i = 0; i < events; ++i)
        units.resolve(unit);
}

struct scheduled {
    ledger units;
    progress_schedule progress{100};

    scheduled() {
        units.restart_at(lsn{1000});
        progress.restart(lsn{1000}, false, start);
    }

    std::optional<lsn> due(time_point now) {
        const auto write = progress.due(units, now);
        return write ? std::optional{write->safe} : std::nullopt;
    }
};

}  // namespace

TEST_CASE("the record is written once a second while events are delivered", "[progress]") {
    scheduled one;
    deliver(one.units, lsn{1100});
    CHECK(one.due(start) == lsn{1100});
    CHECK(one.due(start + 5s) == std::nullopt);  // the first is under way
    one.progress.done("1:1:", lsn{1150});
    deliver(one.units, lsn{1200});
    CHECK(one.due(start + 500ms) == std::nullopt);
    CHECK(one.due(start + 1s) == lsn{1200});
    CHECK(one.progress.recorded() == lsn{1100});
}

TEST_CASE("half of replay_events resolved is recorded at once", "[progress]") {
    scheduled one;
    deliver(one.units, lsn{1100});
    static_cast<void>(one.due(start));
    one.progress.done("1:1:", lsn{1150});
    deliver(one.units, lsn{1200}, 50);
    CHECK(one.progress.replay_events(one.units) == 50);
    CHECK(one.due(start + 1ms) == lsn{1200});
    one.progress.done("1:1:", lsn{1250});
    CHECK(one.progress.replay_events(one.units) == 0);
}

TEST_CASE("a write that failed is tried again after a second, also when much is resolved",
          "[progress]") {
    scheduled one;
    deliver(one.units, lsn{1100}, 80);
    CHECK(one.due(start) == lsn{1100});
    one.progress.failed();
    CHECK(one.due(start + 10ms) == std::nullopt);
    CHECK(one.due(start + 1s) == lsn{1100});
}

TEST_CASE("an idle stream is recorded when 256 KiB have passed, else after five minutes",
          "[progress]") {
    scheduled one;
    one.units.adopt(lsn{1000 + 100 * 1024});
    CHECK(one.due(start + 4min) == std::nullopt);
    CHECK(one.due(start + 5min) == lsn{1000 + 100 * 1024});
    one.progress.done("1:1:", lsn{1000 + 101 * 1024});
    one.units.adopt(lsn{1000 + 400 * 1024});
    CHECK(one.due(start + 5min + 1s) == lsn{1000 + 400 * 1024});
}

TEST_CASE("an idle server is never written to because of our own record", "[progress]") {
    scheduled one;
    deliver(one.units, lsn{1100});
    static_cast<void>(one.due(start));
    one.progress.done("1:1:", lsn{1300});
    one.units.adopt(lsn{1500});  // our own commit
    CHECK(one.due(start + 24h) == std::nullopt);
    CHECK(one.progress.wake_at(one.units) == never);
}

TEST_CASE("a snapshot is stored once everything before it is delivered", "[progress]") {
    scheduled one;
    deliver(one.units, lsn{1100});
    CHECK(one.progress.due(one.units, start)->delivered_snapshot == std::nullopt);
    one.progress.done("10:20:", lsn{1300});
    deliver(one.units, lsn{1200});
    CHECK(one.progress.due(one.units, start + 1s)->delivered_snapshot == std::nullopt);
    one.progress.done("11:21:", lsn{1350});
    deliver(one.units, lsn{1400});
    CHECK(one.progress.due(one.units, start + 2s)->delivered_snapshot == "10:20:");
}

TEST_CASE("what was delivered before a reconnect and not recorded is recorded after it",
          "[progress]") {
    scheduled one;
    deliver(one.units, lsn{1100});
    one.units.restart();
    one.progress.restart(lsn{1000}, true, start);
    static_cast<void>(one.units.begin(1));  // sent again, and left out
    one.units.commit(lsn{1100});
    CHECK(one.due(start) == lsn{1100});
}
