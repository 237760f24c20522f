#include "support/catch.hpp"
#include "walrelay/engine/feedback.hpp"
#include "walrelay/engine/invariant.hpp"

using namespace walrelay;
using namespace std::chrono_literals;
using engine::feedback;
using engine::status_message;

namespace {

constexpr time_point start{1h};

feedback connected() {
    feedback told;
    told.restart(10s, true, start);
    return told;
}

}  // namespace

TEST_CASE("a status goes out at once after connecting, then once a period", "[feedback]") {
    feedback told = connected();
    CHECK(told.due(lsn{9}, lsn{5}, lsn{5}, false, start) == status_message{lsn{9}, lsn{5}});
    CHECK(told.due(lsn{9}, lsn{5}, lsn{5}, false, start + 9s) == std::nullopt);
    CHECK(told.due(lsn{9}, lsn{5}, lsn{5}, false, start + 10s) == status_message{lsn{9}, lsn{5}});
}

TEST_CASE(
    "the server's question is answered at once, but not more often than every ten milliseconds",
    "[feedback]") {
    feedback told = connected();
    static_cast<void>(told.due(lsn{9}, lsn{5}, lsn{5}, false, start));
    told.heard(lsn{9}, true, start + 1ms);
    CHECK(told.due(lsn{9}, lsn{5}, lsn{5}, false, start + 1ms) == std::nullopt);
    CHECK(told.wake_at(lsn{5}) == start + 10ms);
    CHECK(told.due(lsn{9}, lsn{5}, lsn{5}, false, start + 10ms).has_value());
}

TEST_CASE("with nothing unresolved the server is told that all is written and nothing is flushed",
          "[feedback]") {
    feedback told = connected();
    told.heard(lsn{100}, true, start);
    CHECK(told.due(lsn{90}, lsn{100}, lsn{80}, true, start) == status_message{lsn{90}, lsn{80}});
    told.heard(lsn{100}, true, start + 1s);
    CHECK(told.due(lsn{90}, lsn{100}, lsn{80}, true, start + 1s) ==
          status_message{lsn{100}, lsn{0}});
    CHECK(told.acked() == lsn{80});
}

TEST_CASE("an acknowledgement above what is safe, or below an earlier one, ends the process",
          "[feedback]") {
    feedback told = connected();
    CHECK_THROWS_AS(told.due(lsn{9}, lsn{5}, lsn{6}, false, start), engine::invariant_violation);
    static_cast<void>(told.due(lsn{9}, lsn{5}, lsn{5}, false, start + 1min));
    CHECK_THROWS_AS(told.due(lsn{9}, lsn{5}, lsn{4}, false, start + 2min),
                    engine::invariant_violation);
}

TEST_CASE("a server that asks four times in a second at one position wants to stop", "[feedback]") {
    feedback told = connected();
    for (int i = 0; i < 3; ++i)
        told.heard(lsn{100}, true, start + i * 10ms);
    CHECK_FALSE(told.server_wants_to_stop());
    told.heard(lsn{100}, true, start + 40ms);
    CHECK(told.server_wants_to_stop());
    told.heard(lsn{101}, true, start + 50ms);
    CHECK_FALSE(told.server_wants_to_stop());
}

TEST_CASE("on another timeline acknowledgements start again from the record", "[feedback]") {
    feedback told = connected();
    static_cast<void>(told.due(lsn{90}, lsn{80}, lsn{80}, false, start));
    told.restart(10s, false, start + 1s);
    CHECK(told.due(lsn{70}, lsn{60}, lsn{60}, false, start + 1s) ==
          status_message{lsn{70}, lsn{60}});
}
