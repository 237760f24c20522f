// C3: answers that break the rules. The server is a raw socket in all of them.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "certificates.hpp"
#include "http_fixture.hpp"
#include "http_server.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

const std::string empty_ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What this process holds in memory.
std::int64_t resident_bytes() {
    std::ifstream file{"/proc/self/statm"};
    std::int64_t size = 0;
    std::int64_t resident = 0;
    file >> size >> resident;
    REQUIRE(resident > 0);
    return resident * ::sysconf(_SC_PAGESIZE);
}

/// The first connection gets `answer` and has to be closed by the client; the others get 200.
struct one_bad_answer {
    explicit one_bad_answer(const std::string& answer)
        : server{[this, answer](peer& client) {
              if (client.number() > 0) return always(ok)(client);
              client.request();
              client.send(answer);
              given_up = client.waits_for_close();
          }},
          fixture{server.url()} {
        fixture.options.connections = 1;
    }

    /// The outcome of that answer. The next attempt goes to another connection.
    engine::outcome outcome() {
        const auto first = fixture.deliver();
        fixture.run_until([&] { return given_up.load(); });
        CHECK(fixture.sink->has_room());
        CHECK(fixture.deliver().what == outcome_class::delivered);
        CHECK(server.connections() == 2);
        return first;
    }

    std::atomic<bool> given_up = false;
    http_server server;
    http_fixture fixture;
};

/// An answer that begins like this and then never ends.
struct endless {
    std::string title;
    std::string begin;
    std::string again;
    outcome_class expected;
    std::string reason;
};

const std::vector<endless> endless_answers{
    {"a header", "HTTP/1.1 200 OK\r\nX-Huge: ", "x", outcome_class::transient,
     "malformed answer: header limit exceeded"},
    {"headers", "HTTP/1.1 200 OK\r\n", "X-One-More: x\r\n", outcome_class::transient,
     "malformed answer: header limit exceeded"},
    {"a status line", "HTTP/1.1 200 ", "x", outcome_class::transient,
     "malformed answer: header limit exceeded"},
    {"interim answers", "", "HTTP/1.1 102 Processing\r\n\r\n", outcome_class::transient,
     "malformed answer: interim answers without end"},
    {"a body of chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n",
     outcome_class::delivered, ""},
    {"one chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", "x",
     outcome_class::delivered, ""},
    {"the extension of a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x",
     outcome_class::delivered, ""},
    {"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-More: x\r\n",
     outcome_class::delivered, ""},
    {"a body up to the end of the connection", "HTTP/1.1 200 OK\r\n\r\n", "x",
     outcome_class::delivered, ""},
    {"a body of a terabyte", "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n", "x",
     outcome_class::delivered, ""},
    {"a refusal of a terabyte", "HTTP/1.1 503 x\r\nContent-Length: 1099511627776\r\n\r\n", "x",
     outcome_class::transient, "HTTP 503 Service Unavailable"},
};

}  // namespace

TEST_CASE("C3: an answer without an end costs neither memory nor time, and its connection") {
    {
        const http_server harmless{always(ok)};
        http_fixture first{harmless.url()};  // what is made once for a process is made now
        REQUIRE(first.deliver().what == outcome_class::delivered);
    }
    for (const endless& each : endless_answers) {
        CAPTURE(each.title);
        std::string much;
        while (much.size() < 100'000)
            much += each.again;
        std::atomic<int> cut = 0;
        const http_server server{[&](peer& client) {
            if (client.request().empty()) return;
            client.send(each.begin);
            while (client.send(much)) {
            }
            ++cut;
        }};
        http_fixture fixture{server.url()};
        fixture.options.connections = 1;
        const std::int64_t before = resident_bytes();
        std::int64_t most = 0;
        int turns = 0;
        for (int i = 1; i <= 3; ++i) {
            const auto outcome = fixture.deliver();
            CHECK(outcome.what == each.expected);
            CHECK(outcome.reason == each.reason);
            fixture.run_until([&] {
                ++turns;
                most = std::max(most, resident_bytes());
                return cut == i;
            });
        }
        CHECK(most - before < 2 << 20);
        // Each turn of the loop brings bytes or waits; it doesn't spin on what it can't use.
        CHECK(turns < 2'000);
        CHECK(server.connections() == 3);
    }
}

TEST_CASE("C3: a header of 10 MB is refused after the first 16 KiB, whatever comes behind") {
    one_bad_answer bad{"HTTP/1.1 200 OK\r\nX-Huge: " + std::string(10 << 20, 'x') + "\r\n\r\n"};
    const auto outcome = bad.outcome();
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "malformed answer: header limit exceeded");
}

TEST_CASE("C3: a malformed answer is transient, says so, and its connection is not used again") {
    for (const std::string& answer :
         {std::string{"<html>HTTP/0.9 has no head</html>\r\n\r\n"},
          std::string{"HTTP/0.9 200 OK\r\n\r\n"}, std::string{"HTTP/1.1 2000 OK\r\n\r\n"},
          std::string{"HTTP/1.1 20 OK\r\n\r\n"}, std::string{"HTTP/2 200\r\n\r\n"},
          std::string{"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", 26},
          std::string{"HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n", 25},
          std::string{"HTTP/1.1 200 OK\r\nA\r\n\r\n"},
          std::string{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"},
          std::string{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
          std::string{"\r\n\r\n\r\n" + ok}, std::string(100, '\0')}) {
        CAPTURE(answer.substr(0, 40));
        one_bad_answer bad{answer};
        const auto outcome = bad.outcome();
        CHECK(outcome.what == outcome_class::transient);
        CHECK(contains(outcome.reason, "malformed answer: "));
        CHECK_FALSE(contains(outcome.reason, "html"));
    }
}

TEST_CASE("C3: an invalid chunk behind the head of a 200 is a delivery, without its connection") {
    for (const char* body :
         {"!!\r\n", "-1\r\n", "FFFFFFFFFFFFFFFFFF\r\n", "1\r\nxyz\r\n", "\r\n"}) {
        CAPTURE(body);
        one_bad_answer bad{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                           std::string{body}};
        CHECK(bad.outcome().what == outcome_class::delivered);
    }
}

TEST_CASE(
    "C3: a 200 whose body ends early is a delivery, an answer without its whole head is not") {
    std::atomic<int> begun = 0;
    for (const auto& [answer, expected] : std::vector<std::pair<std::string, outcome_class>>{
             {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", outcome_class::delivered},
             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshor",
              outcome_class::delivered},
             {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n", outcome_class::transient},
             {"HTTP/1.1 200 OK\r\n", outcome_class::transient},
             {"HTTP/1.1 100 Continue\r\n\r\n", outcome_class::transient}}) {
        CAPTURE(answer);
        const http_server server{[&](peer& client) {
            client.request();
            client.send(answer);
        }};
        http_fixture fixture{server.url()};
        fixture.options.connections = 1;
        for (int i = 0; i < 2; ++i) {
            const auto outcome = fixture.deliver();
            CHECK(outcome.what == expected);
            if (expected != outcome_class::delivered)
                CHECK(outcome.reason == "answer incomplete: connection closed by the server");
            fixture.run_until([&] { return fixture.sink->has_room(); });
        }
        CHECK(server.connections() == 2);
    }
}

TEST_CASE(
    "C3: garbage behind an answer is never taken for the answer to the next request, which is sent "
    "at once") {
    const auto authority = make_identity("test authority", "");
    const auto own = make_identity("server", "IP:127.0.0.1", &authority);
    const auto context = make_server_tls(own);
    const pem_files files;
    // As long as the first read takes: the rest is still in the socket, or in TLS.
    std::string long_ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Fill: ";
    long_ok += std::string(4096 - long_ok.size() - 4, 'x') + "\r\n\r\n";
    REQUIRE(long_ok.size() == 4096);
    for (SSL_CTX* const tls : {static_cast<SSL_CTX*>(nullptr), context.get()}) {
        for (const std::string& first : {empty_ok, long_ok}) {
            CAPTURE(tls != nullptr, first.size());
            std::atomic<int> accepted = 0;
            const http_server server{
                [&](peer& client) {
                    if (client.request().empty()) return;
                    ++accepted;
                    const int hold = 1;
                    const int release = 0;
                    ::setsockopt(client.socket(), IPPROTO_TCP, TCP_CORK, &hold, sizeof hold);
                    client.send(first);
                    client.send(empty_ok);
                    ::setsockopt(client.socket(), IPPROTO_TCP, TCP_CORK, &release, sizeof release);
                    client.waits_for_close();  // what else is asked here is lost
                },
                tls};
            http_fixture fixture{server.url()};
            fixture.options.tls.ca = files.certificate(authority, "ca.pem");
            fixture.options.connections = 1;
            fixture.open();
            std::uint32_t sent = 0;
            fixture.log.when_settled = [&] {
                engine::outcome none;
                if (sent < 5 && fixture.sink->send({2, sent}, 1, plain_record(), none) ==
                                    sink::admission::pending) {
                    ++sent;
                }
            };
            fixture.log.when_settled();
            fixture.run_until([&] { return fixture.log.outcomes.size() == 5; });
            int delivered = 0;
            for (const auto& [token, outcome] : fixture.log.outcomes)
                delivered += outcome.what == outcome_class::delivered ? 1 : 0;
            CHECK(delivered == 5);
            CHECK(accepted == 5);
            CHECK(server.connections() == 5);
        }
    }
}
