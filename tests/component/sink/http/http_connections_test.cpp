#include <atomic>
#include <thread>

#include "http_fixture.hpp"
#include "http_server.hpp"

using namespace walrelay;
using namespace walrelay::test;

TEST_CASE("one connection carries many requests, one after the other") {
    const http_server server{always(ok)};
    http_fixture fixture{server.url()};
    for (int i = 0; i < 500; ++i)
        REQUIRE(fixture.deliver().what == outcome_class::delivered);
    CHECK(server.connections() == 1);
    CHECK(fixture.sink->order() == sink::ordering::serial);
}

TEST_CASE("no more connections are open than configured, one more record is not taken") {
    gate hold;
    const http_server server{[&](peer& client) {
        while (!client.request().empty()) {
            hold.wait();
            if (!client.send(ok)) return;
        }
    }};
    http_fixture fixture{server.url()};
    fixture.options.connections = 4;
    for (int i = 0; i < 4; ++i)
        fixture.start();
    CHECK(fixture.sink->in_flight() == 4);
    engine::outcome refusal;
    CHECK(fixture.sink->send({1, 99}, 1, plain_record(), refusal) == sink::admission::full);
    CHECK(fixture.log.settlings == 0);
    hold.open();
    fixture.run_until([&] { return fixture.log.outcomes.size() == 4; });
    CHECK(fixture.log.settlings >= 1);
    CHECK(fixture.sink->in_flight() == 0);

    // From inside settled(), as the relay does it.
    std::uint32_t sent = 0;
    fixture.log.when_settled = [&] {
        engine::outcome none;
        while (sent < 1000 &&
               fixture.sink->send({2, sent}, 1, plain_record(), none) == sink::admission::pending) {
            ++sent;
        }
    };
    fixture.log.when_settled();
    fixture.run_until([&] { return fixture.log.outcomes.size() == 1004; });
    for (const auto& [token, outcome] : fixture.log.outcomes)
        CHECK(outcome.what == outcome_class::delivered);
    CHECK(server.most_open() == 4);
    CHECK(server.connections() == 4);
}

TEST_CASE(
    "C4: a server that closes idle connections just as they are used costs no attempt, 1,000 "
    "times") {
    // Closes right behind its answer: the end reaches the sink before, in, or after the next send.
    const http_server server{[](peer& client) {
        if (!client.request().empty()) client.send(ok);
    }};
    http_fixture fixture{server.url()};
    fixture.options.connections = 1;
    for (int i = 0; i < 1000; ++i) {
        CAPTURE(i);
        const auto outcome = fixture.deliver();
        CAPTURE(outcome.reason);
        REQUIRE(outcome.what == outcome_class::delivered);
    }
    CHECK(server.connections() == 1000);
}

TEST_CASE(
    "C4: a server that drops every second request of a connection unanswered costs no attempt, "
    "1,000 times") {
    const http_server server{[](peer& client) {
        client.request();
        client.send(ok);
        client.request();
        if (client.number() % 2 == 0) client.reset_at_end();
    }};
    http_fixture fixture{server.url()};
    for (int i = 0; i < 1000; ++i) {
        CAPTURE(i);
        const auto outcome = fixture.deliver();
        CAPTURE(outcome.reason);
        REQUIRE(outcome.what == outcome_class::delivered);
    }
    CHECK(server.connections() == 1000);
}

TEST_CASE(
    "C4: a reused connection that dies without an answer is replaced within the attempt, a fresh "
    "one "
    "is not") {
    for (const bool reset : {false, true}) {
        std::atomic<int> requests = 0;
        const http_server server{[&](peer& client) {
            client.request();
            ++requests;
            if (client.number() >= 1) return;  // the second connection never answers
            client.send(ok);
            client.request();  // taken, and dropped
            ++requests;
            if (reset) client.reset_at_end();
        }};
        http_fixture fixture{server.url()};
        CHECK(fixture.deliver().what == outcome_class::delivered);
        CHECK(fixture.deliver().what == outcome_class::transient);
        CHECK(requests == 3);
        CHECK(server.connections() == 2);
    }
}

TEST_CASE("C4: an answer that has begun on a reused connection is not asked for again") {
    std::atomic<int> requests = 0;
    const http_server server{[&](peer& client) {
        client.request();
        ++requests;
        client.send(ok);
        client.request();
        ++requests;
        client.send("HTTP/1.1 2");
    }};
    http_fixture fixture{server.url()};
    CHECK(fixture.deliver().what == outcome_class::delivered);
    CHECK(fixture.deliver().what == outcome_class::transient);
    CHECK(requests == 2);
}

TEST_CASE("C3: bytes that nobody asked for end a connection before it is used again") {
    const http_server server{[](peer& client) {
        while (!client.request().empty()) {
            if (!client.send(ok + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) return;
        }
    }};
    http_fixture fixture{server.url()};
    for (int i = 0; i < 5; ++i)
        CHECK(fixture.deliver().what == outcome_class::delivered);
    CHECK(server.connections() == 5);
}

TEST_CASE(
    "a server that says Connection: close or HTTP/1.0 gets a new connection for each request") {
    for (const char* answer :
         {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
          "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
          "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n"}) {
        CAPTURE(answer);
        const http_server server{[&](peer& client) {
            client.request();
            client.send(answer);
            client.waits_for_close();
        }};
        http_fixture fixture{server.url()};
        for (int i = 0; i < 3; ++i)
            CHECK(fixture.deliver().what == outcome_class::delivered);
        CHECK(server.connections() == 3);
    }
}

TEST_CASE("an idle connection is closed before the server's keep-alive time is over") {
    std::atomic<bool> closed = false;
    const http_server server{[&](peer& client) {
        client.request();
        client.send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 0\r\n\r\n");
        closed = client.waits_for_close(1900ms);
    }};
    http_fixture fixture{server.url()};
    CHECK(fixture.deliver().what == outcome_class::delivered);
    fixture.run_until([&] { return closed.load(); });
}

TEST_CASE("a sink that goes away with attempts on the wire is never heard of again") {
    std::atomic<int> gone = 0;
    const http_server server{[&](peer& client) {
        client.request();
        if (client.waits_for_close()) ++gone;
    }};
    http_fixture fixture{server.url()};
    fixture.options.connections = 3;
    for (int i = 0; i < 3; ++i)
        fixture.start();
    fixture.run_until([&] { return server.connections() == 3; });
    fixture.sink.reset();
    fixture.run_until([&] { return gone == 3; });
    fixture.loop.poll();
    CHECK(fixture.log.outcomes.empty());
    CHECK(fixture.log.settlings == 0);

    // And in the middle of a look-up.
    http_fixture named{"http://localhost:1"};
    named.start();
    named.sink.reset();
    named.loop.run_for(200ms);
    CHECK(named.log.outcomes.empty());
}

TEST_CASE("purge leaves what is on the wire to its outcome") {
    gate hold;
    std::atomic<bool> came = false;
    const http_server server{[&](peer& client) {
        client.request();
        came = true;
        hold.wait();
        client.send(ok);
    }};
    http_fixture fixture{server.url()};
    const auto attempt = fixture.start();
    fixture.run_until([&] { return came.load(); });
    fixture.sink->purge();
    CHECK(fixture.sink->in_flight() == 1);
    hold.open();
    CHECK(fixture.finish(attempt).what == outcome_class::delivered);
}

TEST_CASE("what was purged is not sent though its connection opens in the same moment") {
    std::atomic<int> requests = 0;
    const http_server server{[&](peer& client) {
        if (!client.request().empty()) ++requests;
    }};
    http_fixture fixture{server.url()};
    const auto attempt = fixture.start();
    while (server.connections() == 0)  // and the loop doesn't know it yet
        std::this_thread::yield();
    fixture.sink->purge();
    CHECK(fixture.finish(attempt).what == outcome_class::transient);
    fixture.sink.reset();
    CHECK(requests == 0);
}

TEST_CASE("what was purged is not sent once more when a reused connection dies") {
    gate dies;
    const http_server server{[&](peer& client) {
        client.request();
        client.send(ok);
        client.request();
        dies.wait();
    }};
    http_fixture fixture{server.url()};
    CHECK(fixture.deliver().what == outcome_class::delivered);
    const auto attempt = fixture.start();
    fixture.sink->purge();
    dies.open();
    CHECK(fixture.finish(attempt).what == outcome_class::transient);
    CHECK(server.connections() == 1);
    CHECK(fixture.deliver().what == outcome_class::delivered);
}
