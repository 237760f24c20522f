#include <atomic>

#include "http_fixture.hpp"
#include "http_server.hpp"
#include "network.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

/// The outcome of one attempt when the server does this with it.
engine::outcome outcome_when(const http_server::script& script,
                             std::chrono::milliseconds timeout = 10s) {
    const http_server server{script};
    http_fixture fixture{server.url()};
    fixture.options.timeout = timeout;
    return fixture.deliver();
}

http_server::script raw(std::string answer) {
    return [=](peer& client) {
        client.request();
        client.send(answer);
        client.waits_for_close();
    };
}

}  // namespace

TEST_CASE("C1: each status from 100 to 599 ends an attempt as the table says, on one connection") {
    std::atomic<int> status = 0;
    const http_server server{[&](peer& client) {
        while (!client.request().empty()) {
            const int now = status;
            std::string answer =
                "HTTP/1.1 " + std::to_string(now) + " Text\r\nContent-Length: 0\r\n\r\n";
            if (now < 200 && now != 101) answer += ok;
            if (!client.send(answer)) return;
        }
    }};
    http_fixture fixture{server.url()};
    for (int each = 100; each <= 599; ++each) {
        CAPTURE(each);
        status = each;
        const auto outcome = fixture.deliver();
        outcome_class expected = outcome_class::transient;
        if (each < 300 && each != 101) expected = outcome_class::delivered;
        if (each >= 300 && each < 400) expected = outcome_class::endpoint;
        if (each >= 400 && each < 500) expected = outcome_class::event;
        if (each == 401 || each == 403 || each == 407) expected = outcome_class::endpoint;
        if (each == 404 || each == 405 || each == 410 || each == 421)
            expected = outcome_class::target;
        if (each == 408 || each == 425 || each == 429) expected = outcome_class::transient;
        CHECK(outcome.what == expected);
    }
    CHECK(server.connections() == 2);  // 101 gives the first away
}

TEST_CASE(
    "C2: Retry-After reaches the outcome in each of its forms, clamped, and 503 holds the target") {
    const auto asked_for = [](const std::string& headers) {
        const auto outcome =
            outcome_when(raw("HTTP/1.1 503 x\r\n" + headers + "Content-Length: 0\r\n\r\n"));
        CHECK(outcome.what == outcome_class::transient);
        CHECK(outcome.reason == "HTTP 503 Service Unavailable");
        CHECK(outcome.hold_target == outcome.retry_after.has_value());
        return outcome.retry_after;
    };
    CHECK(asked_for("Retry-After: 0\r\n") == 0ms);
    CHECK(asked_for("Retry-After: 5\r\n") == 5s);
    CHECK(asked_for("retry-after:   5  \r\n") == 5s);
    CHECK(asked_for("Retry-After: 99999999\r\n") == 1h);
    CHECK(asked_for("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n") == 0ms);
    CHECK(asked_for("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n") == 1h);
    CHECK(asked_for("Retry-After: Sunday, 06-Nov-94 08:49:37 GMT\r\n") == 0ms);
    CHECK(asked_for("Retry-After: Sun Nov  6 08:49:37 1994\r\n") == 0ms);
    CHECK(asked_for("Retry-After: 5\r\nRetry-After: 9\r\n") == 9s);
    CHECK(asked_for("Retry-After: 9\r\nRetry-After: abc\r\n") == 9s);
    for (const char* nothing : {"", "Retry-After: -1\r\n", "Retry-After: abc\r\n",
                                "Retry-After:\r\n", "Retry-After: 1.5\r\n"}) {
        CAPTURE(nothing);
        CHECK_FALSE(asked_for(nothing).has_value());
    }
}

TEST_CASE("C3: a server that takes the request and never answers costs the timeout and no more") {
    const auto outcome = outcome_when(
        [](peer& client) {
            client.request();
            client.waits_for_close();
        },
        300ms);
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "no complete answer within 300 ms");
}

TEST_CASE("C3: a server that sends its headers byte by byte doesn't outlast the timeout") {
    std::atomic<bool> cut = false;
    const auto outcome = outcome_when(
        [&](peer& client) {
            client.request();
            const std::string answer = "HTTP/1.1 200 OK\r\nX-Slow: " + std::string(1000, 'x');
            for (const char byte : answer) {
                client.send({&byte, 1});
                if (client.waits_for_close(20ms)) {
                    cut = true;
                    return;
                }
            }
        },
        300ms);
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "no complete answer within 300 ms");
}

TEST_CASE("C3: a server that reads nothing of a large request costs the timeout and no more") {
    const std::string body(32 << 20, 'x');
    gate end;
    const http_server server{[&](peer&) { end.wait(); }};
    http_fixture fixture{server.url()};
    fixture.limits.event_bytes = 64 << 20;
    fixture.options.timeout = 300ms;
    auto record = plain_record();
    record.body = body;
    const auto outcome = fixture.deliver(record);
    end.open();
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "no complete answer within 300 ms");
}

TEST_CASE(
    "headers are enough: a body that never comes holds up neither the event nor, for long, the "
    "connection") {
    const http_server server{[](peer& client) {
        client.request();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        client.waits_for_close();
    }};
    http_fixture fixture{server.url()};
    fixture.options.connections = 1;
    CHECK(fixture.deliver().what == outcome_class::delivered);
    CHECK(fixture.sink->in_flight() == 0);
    engine::outcome refusal;
    CHECK(fixture.sink->send({1, 99}, 1, plain_record(), refusal) == sink::admission::full);
    const int before = fixture.log.settlings;
    fixture.run_until([&] { return fixture.log.settlings > before; });
    CHECK(fixture.deliver().what == outcome_class::delivered);
    CHECK(server.connections() == 2);
}

TEST_CASE("a short body is read to its end and the connection is used again") {
    const http_server server{[](peer& client) {
        while (!client.request().empty()) {
            client.send("HTTP/1.1 500 x\r\nContent-Length: 60000\r\n\r\n");
            if (!client.send(std::string(60'000, 'x'))) return;
        }
    }};
    http_fixture fixture{server.url()};
    fixture.options.connections = 1;
    for (int i = 0; i < 20; ++i) {
        CHECK(fixture.deliver().what == outcome_class::transient);
        engine::outcome refusal;
        const int before = fixture.log.settlings;
        if (fixture.sink->send({2, static_cast<std::uint32_t>(i)}, 1, plain_record(), refusal) ==
            sink::admission::full) {
            fixture.run_until([&] { return fixture.log.settlings > before; });
        }
        fixture.run_until([&] { return fixture.sink->in_flight() == 0; });
        fixture.loop.poll();
    }
    CHECK(server.connections() == 1);
}

TEST_CASE("interim answers are stepped over, an upgrade is not an answer") {
    CHECK(outcome_when(
              raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
                  "Link: </x>\r\n\r\n" +
                  ok))
              .what == outcome_class::delivered);
    const auto outcome =
        outcome_when(raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"));
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "HTTP 101 Switching Protocols");
}

TEST_CASE("C7: a redirect is never followed, and where it points to is never contacted") {
    const http_server elsewhere{always(ok)};
    const connection_watch watch;
    const std::string local = "127.0.0.1:" + std::to_string(elsewhere.port());
    for (const char* status : {"301 Moved Permanently", "302 Found", "303 See Other",
                               "307 Temporary Redirect", "308 Permanent Redirect"}) {
        for (const std::string& host : {std::string{"169.254.169.254"}, local}) {
            CAPTURE(status, host);
            const http_server server{always("HTTP/1.1 " + std::string{status} +
                                            "\r\nLocation: http://" + host +
                                            "/secret?token=1\r\nContent-Length: 0\r\n\r\n")};
            http_fixture fixture{server.url()};
            for (int i = 0; i < 2; ++i) {
                const auto outcome = fixture.deliver();
                CHECK(outcome.what == outcome_class::endpoint);
                CHECK(outcome.reason == "HTTP " + std::string{status} + " to host " + host +
                                            " (redirects are never followed)");
            }
            CHECK(server.connections() == 1);
        }
    }
    CHECK(elsewhere.connections() == 0);
    for (const auto& address : watch.tried()) {
        CHECK_FALSE(contains(address, "169.254.169.254"));
        CHECK(address != local);
    }
}

TEST_CASE("C8: 410 is a matter of the target, by name, however often it is asked") {
    const http_server server{always("HTTP/1.1 410 x\r\nContent-Length: 0\r\n\r\n")};
    http_fixture fixture{server.url()};
    for (int i = 0; i < 3; ++i) {
        const auto outcome = fixture.deliver();
        CHECK(outcome.what == outcome_class::target);
        CHECK(outcome.reason == "HTTP 410 Gone");
        CHECK_FALSE(outcome.retry_after.has_value());
    }
}

TEST_CASE("C4: a reset before or after the request is transient and says what happened") {
    const auto before = outcome_when([](peer& client) { client.reset_at_end(); });
    CHECK(before.what == outcome_class::transient);
    // The reset may even overtake the connection.
    const bool says_where =
        contains(before.reason, "no answer: ") || contains(before.reason, "connect to 127.0.0.1:");
    CAPTURE(before.reason);
    CHECK(says_where);
    const auto after = outcome_when([](peer& client) {
        client.request();
        client.reset_at_end();
    });
    CHECK(after.what == outcome_class::transient);
    CHECK(after.reason == "no answer: Connection reset by peer");
    const auto amid = outcome_when([](peer& client) {
        client.request();
        client.send("HTTP/1.1 200 OK\r\nConte");
    });
    CHECK(amid.what == outcome_class::transient);
    CHECK(amid.reason == "answer incomplete: connection closed by the server");
}

TEST_CASE("C3: an early refusal of a large body is heard, though the body was never read") {
    std::string body(1 << 20, 'x');
    const http_server server{[](peer& client) {
        client.request_head();
        client.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        client.waits_for_close();
    }};
    http_fixture fixture{server.url()};
    fixture.limits.event_bytes = 64 << 20;
    body.resize(32 << 20, 'x');
    auto record = plain_record();
    record.body = body;
    const auto outcome = fixture.deliver(record);
    CHECK(outcome.what == outcome_class::event);
    CHECK(contains(outcome.reason, "HTTP 413"));
}

TEST_CASE("C3: a 200 to a request that was never read is no delivery") {
    const std::string body(32 << 20, 'x');
    const http_server server{[](peer& client) {
        client.request_head();
        client.send(ok);
    }};
    http_fixture fixture{server.url()};
    fixture.limits.event_bytes = 64 << 20;
    auto record = plain_record();
    record.body = body;
    const auto outcome = fixture.deliver(record);
    CHECK(outcome.what == outcome_class::transient);
}
