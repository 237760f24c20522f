// C12: `rate`, at the wire.
#include <atomic>
#include <set>

#include "http_fixture.hpp"
#include "http_server.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

/// Sends as the relay does: all that has room, and again whenever settled() comes; `most` in all.
struct eager_sender {
    eager_sender(http_fixture& what, int limit) : fixture{what}, most{limit} {
        fixture.log.when_settled = [this] { send_all(); };
    }

    void send_all() {
        engine::outcome refusal;
        while (sent < most && fixture.sink->has_room()) {
            const auto token = engine::attempt_token{2, static_cast<std::uint32_t>(sent)};
            if (fixture.sink->send(token, 1, plain_record(), refusal) != sink::admission::pending)
                return;
            ++sent;
        }
    }

    /// From the first request to the last outcome.
    std::chrono::duration<double> run() {
        const auto begin = std::chrono::steady_clock::now();
        send_all();
        fixture.run_until(
            [&] { return fixture.log.outcomes.size() == static_cast<std::size_t>(most); });
        return std::chrono::steady_clock::now() - begin;
    }

    http_fixture& fixture;
    const int most;
    int sent = 0;
};

}  // namespace

TEST_CASE("C12: a storm of 429 doesn't exceed the rate, and all that is waited for comes") {
    std::atomic<int> requests = 0;
    const http_server server{[&](peer& client) {
        while (!client.request().empty()) {
            ++requests;
            if (!client.send("HTTP/1.1 429 x\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"))
                return;
        }
    }};
    http_fixture fixture{server.url()};
    fixture.options.rate = {200, 1s};
    fixture.open();
    eager_sender sender{fixture, 200};
    const auto took = sender.run();
    // A twentieth of a second's worth, 10, may go at once.
    CHECK(took.count() >= 189.0 / 200);
    CHECK(requests == 200);
    for (const auto& [token, outcome] : fixture.log.outcomes)
        CHECK(outcome.what == outcome_class::transient);
}

TEST_CASE("C12: without a token nothing is taken, whether room was asked for or not") {
    const http_server server{always(ok)};
    http_fixture fixture{server.url()};
    fixture.options.rate = {1, 2s};
    fixture.open();
    CHECK(fixture.sink->has_room());
    CHECK(fixture.deliver().what == outcome_class::delivered);
    const int before = fixture.log.settlings;
    CHECK_FALSE(fixture.sink->has_room());
    engine::outcome refusal;
    CHECK(fixture.sink->send({1, 99}, 1, plain_record(), refusal) == sink::admission::full);
    CHECK(fixture.sink->in_flight() == 0);
    fixture.run_until([&] { return fixture.log.settlings > before; });
    CHECK(fixture.sink->has_room());
    CHECK(fixture.deliver().what == outcome_class::delivered);
}

TEST_CASE("C12: a record that is refused costs no token") {
    const http_server server{always(ok)};
    http_fixture fixture{server.url()};
    fixture.options.rate = {1, 1h};
    fixture.open();
    auto record = plain_record();
    record.headers = {{"a b", "1"}};
    engine::outcome refusal;
    CHECK(fixture.sink->send({1, 98}, 1, record, refusal) == sink::admission::refused);
    CHECK(fixture.deliver().what == outcome_class::delivered);
    CHECK_FALSE(fixture.sink->has_room());
}

TEST_CASE("C12: the repeat on a fresh connection counts as the request that it is") {
    const http_server server{[](peer& client) {
        client.request();
        client.send(ok);
        client.request();  // unanswered: the sink repeats it
    }};
    http_fixture fixture{server.url()};
    fixture.options.rate = {20, 1s};
    fixture.open();
    eager_sender sender{fixture, 11};
    // 11 records are 21 requests: each connection but the last takes two.
    CHECK(sender.run().count() >= 18.0 / 20);
    CHECK(server.connections() == 11);
    for (const auto& [token, outcome] : fixture.log.outcomes)
        CHECK(outcome.what == outcome_class::delivered);
}

TEST_CASE("C12: a sink without a rate sends as fast as it goes") {
    const http_server server{always(ok)};
    http_fixture fixture{server.url()};
    fixture.options.connections = 4;
    fixture.open();
    eager_sender sender{fixture, 2000};
    CHECK(sender.run() < 10s);
    CHECK(server.connections() <= 4);
}
