#include <atomic>

#include "http_fixture.hpp"
#include "http_server.hpp"

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

http_server::script raw(std::string answer, std::atomic<bool>* closed = nullptr) {
    return [=](peer& client) {
        client.request();
        client.send(answer);
        const bool by_client = client.waits_for_close();
        if (closed != nullptr) *closed = by_client;
    };
}

}  // namespace

TEST_CASE("each status from 100 to 599 ends an attempt as the table says, on one connection") {
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

TEST_CASE("Retry-After reaches the outcome, and 503 holds the target") {
    const auto outcome =
        outcome_when(raw("HTTP/1.1 503 x\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"));
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "HTTP 503 Service Unavailable");
    CHECK(outcome.retry_after == 5s);
    CHECK(outcome.hold_target);
}

TEST_CASE("a server that takes the request and never answers costs the timeout and no more") {
    const auto outcome = outcome_when(
        [](peer& client) {
            client.request();
            client.waits_for_close();
        },
        300ms);
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "no complete answer within 300 ms");
}

TEST_CASE("a server that sends its headers byte by byte doesn't outlast the timeout") {
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

TEST_CASE("a malformed answer is transient, says so, and the connection is closed") {
    for (const std::string& answer :
         {std::string{"<html>it works</html>\r\n\r\n"}, std::string{"HTTP/0.9 200 OK\r\n\r\n"},
          std::string{"HTTP/1.1 2000 OK\r\n\r\n"},
          std::string{"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", 26},
          std::string{"HTTP/1.1 200 OK\r\nA\r\n\r\n"},
          "HTTP/1.1 200 OK\r\nX-Huge: " + std::string(10 << 20, 'x') + "\r\n\r\n"}) {
        CAPTURE(answer.substr(0, 40));
        std::atomic<bool> closed = false;
        const auto outcome = outcome_when(raw(answer, &closed));
        CHECK(outcome.what == outcome_class::transient);
        CHECK(contains(outcome.reason, "malformed answer: "));
    }
}

TEST_CASE("a bad chunk after the headers of a 200 is a delivery on a connection that is given up") {
    const http_server server{[](peer& client) {
        while (!client.request().empty()) {
            if (!client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n!!\r\n")) return;
        }
    }};
    http_fixture fixture{server.url()};
    CHECK(fixture.deliver().what == outcome_class::delivered);
    CHECK(fixture.deliver().what == outcome_class::delivered);
    CHECK(server.connections() == 2);
}

TEST_CASE("an endless body after a 200 is a delivery, and the connection is closed") {
    for (const char* framing :
         {"Transfer-Encoding: chunked\r\n", "", "Content-Length: 999999999\r\n"}) {
        CAPTURE(framing);
        std::atomic<bool> cut = false;
        const http_server server{[&](peer& client) {
            client.request();
            client.send(std::string{"HTTP/1.1 200 OK\r\n"} + framing + "\r\n");
            while (client.send("1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n")) {
            }
            cut = true;
        }};
        http_fixture fixture{server.url()};
        CHECK(fixture.deliver().what == outcome_class::delivered);
        fixture.run_until([&] { return cut.load(); });
    }
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

TEST_CASE("a redirect is never followed") {
    const http_server elsewhere{always(ok)};
    const auto outcome = outcome_when(raw("HTTP/1.1 307 x\r\nLocation: " + elsewhere.url() +
                                          "/secret?token=1\r\nContent-Length: 0\r\n\r\n"));
    CHECK(outcome.what == outcome_class::endpoint);
    CHECK(outcome.reason ==
          "HTTP 307 Temporary Redirect to host 127.0.0.1:" + std::to_string(elsewhere.port()) +
              " (redirects are never followed)");
    CHECK(elsewhere.connections() == 0);
}

TEST_CASE("a reset before or after the request is transient and says what happened") {
    const auto before = outcome_when([](peer& client) { client.reset_at_end(); });
    CHECK(before.what == outcome_class::transient);
    CHECK(contains(before.reason, "no answer: "));
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

TEST_CASE("an early refusal of a large body is heard, though the body was never read") {
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

TEST_CASE("a 200 to a request that was never read is no delivery") {
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
