// Names and addresses: what is refused, unknown, silent, or a black hole.
#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <optional>

#include "http_fixture.hpp"
#include "http_server.hpp"
#include "network.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

/// An IPv6 black hole, or one of IPv4 where the machine has no IPv6.
struct silent_address {
    silent_address() {
        try {
            hole.emplace("::1");
            ip = "::1";
            text = "[::1]:" + std::to_string(hole->port());
        } catch (const std::runtime_error&) {
            hole.emplace("127.0.0.1");
            ip = "127.0.0.1";
            text = "127.0.0.1:" + std::to_string(hole->port());
        }
    }

    std::optional<black_hole> hole;
    std::string ip;
    std::string text;
};

}  // namespace

TEST_CASE("C5: a refused connection is transient and names where it went") {
    const auto port = std::to_string(closed_port());
    http_fixture fixture{"http://127.0.0.1:" + port};
    const auto outcome = fixture.deliver();
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "connect to 127.0.0.1:" + port + ": Connection refused");
}

TEST_CASE("C5: a name with several addresses is tried at each of them") {
    const http_server server{always(ok)};
    const stand_in_name name{"several.test", [&] {
                                 return stand_in_name::endpoints{{"127.0.0.1", closed_port()},
                                                                 {"127.0.0.1", closed_port()},
                                                                 {"127.0.0.1", server.port()}};
                             }};
    http_fixture fixture{"http://several.test:1"};
    fixture.options.connections = 8;
    std::vector<std::uint64_t> attempts;
    for (int i = 0; i < 8; ++i)
        attempts.push_back(fixture.start());
    for (const auto attempt : attempts)
        CHECK(fixture.finish(attempt).what == outcome_class::delivered);
}

TEST_CASE("C5: a name that does not exist is transient and named, and is asked for again") {
    std::atomic<int> asked = 0;
    const http_server server{always(ok)};
    const stand_in_name name{"new.test", [&] {
                                 if (++asked == 1) return stand_in_name::endpoints{};
                                 return stand_in_name::endpoints{{"127.0.0.1", server.port()}};
                             }};
    http_fixture fixture{"http://new.test:81/"};
    const auto outcome = fixture.deliver();
    CHECK(outcome.what == outcome_class::transient);
    CHECK(contains(outcome.reason, "resolve new.test:81: Host not found"));
    CHECK(fixture.deliver().what == outcome_class::delivered);

    http_fixture by_system{"http://does-not-exist.invalid:81/"};
    const auto real = by_system.deliver();
    CHECK(real.what == outcome_class::transient);
    CHECK(real.reason.rfind("resolve does-not-exist.invalid:81: ", 0) == 0);
}

TEST_CASE(
    "C5: a name server that never answers costs the timeout, and neither another sink nor the end "
    "waits for it") {
    gate silence;
    std::atomic<int> answers = 0;
    const http_server server{always(ok)};
    const stand_in_name silent_name{"silent.test", [&] {
                                        silence.wait();
                                        ++answers;
                                        return stand_in_name::endpoints{{"127.0.0.1", 1}};
                                    }};
    const stand_in_name good_name{"good.test", [&] {
                                      return stand_in_name::endpoints{{"127.0.0.1", server.port()}};
                                  }};
    {
        http_fixture fixture{"http://silent.test:80"};
        fixture.options.timeout = 200ms;
        for (int i = 0; i < 2; ++i) {
            const auto outcome = fixture.deliver();
            CHECK(outcome.what == outcome_class::transient);
            CHECK(outcome.reason == "resolve silent.test:80: no answer from the name server");
        }
        const auto silent_sink = std::move(fixture.sink);
        fixture.options.url = "http://good.test:80";
        fixture.options.timeout = 10s;
        CHECK(fixture.deliver().what == outcome_class::delivered);
        CHECK(answers == 0);
    }
    CHECK(answers == 0);
    silence.open();
}

TEST_CASE("C5: an answer of the name server that comes too late is heard by nobody") {
    const connection_watch watch;
    gate late;
    {
        const stand_in_name name{"late.test", [&] {
                                     late.wait();
                                     return stand_in_name::endpoints{{"127.0.0.1", 1}};
                                 }};
        http_fixture fixture{"http://late.test:80"};
        const auto running = boost::asio::make_work_guard(fixture.loop);
        fixture.start();
        fixture.sink.reset();
        late.open();
        fixture.loop.run_for(50ms);
        CHECK(fixture.log.outcomes.empty());
    }
    CHECK(watch.tried_among({"127.0.0.1:1"}).empty());
}

TEST_CASE("C5: an address that swallows connections costs the timeout") {
    const black_hole hole{"127.0.0.1"};
    const std::string server = "127.0.0.1:" + std::to_string(hole.port());
    http_fixture fixture{"http://" + server};
    fixture.options.timeout = 300ms;
    const auto outcome = fixture.deliver();
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "connect to " + server + ": no answer");
}

TEST_CASE("purge gives up what is not on the wire yet: it waits for a name or an address") {
    gate silence;
    const stand_in_name name{"silent.test", [&] {
                                 silence.wait();
                                 return stand_in_name::endpoints{};
                             }};
    const black_hole hole{"127.0.0.1"};
    const bool by_name = GENERATE(true, false);
    const std::string host =
        by_name ? "silent.test:80" : "127.0.0.1:" + std::to_string(hole.port());
    {
        http_fixture fixture{"http://" + host};
        const auto attempt = fixture.start();
        fixture.sink->purge();
        fixture.run_until([&] { return fixture.log.outcomes.contains(attempt); }, 4s);
        CHECK(fixture.log.outcomes.at(attempt).what == outcome_class::transient);
        CHECK(contains(fixture.log.outcomes.at(attempt).reason, "no answer"));
    }
    silence.open();
}

TEST_CASE(
    "C5: an IPv6 black hole beside a working IPv4 address costs half a second once, and no "
    "attempt") {
    const silent_address hole;
    const http_server server{[](peer& client) {
        if (!client.request().empty()) client.send(ok);
    }};
    const std::string working = "127.0.0.1:" + std::to_string(server.port());
    const stand_in_name name{"both.test", [&] {
                                 return stand_in_name::endpoints{{hole.ip, hole.hole->port()},
                                                                 {"127.0.0.1", server.port()}};
                             }};
    http_fixture fixture{"http://both.test:80"};
    const connection_watch watch;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 3; ++i)
        CHECK(fixture.deliver().what == outcome_class::delivered);
    // Half of the five seconds for connecting, if the two had shared them.
    CHECK(std::chrono::steady_clock::now() - begin < 2s);
    CHECK(watch.tried_among({hole.text, working}) ==
          std::vector<std::string>{hole.text, working, working, working});
}

TEST_CASE("C5: of many silent addresses another one gets the most time in each attempt") {
    std::vector<std::unique_ptr<black_hole>> holes;
    stand_in_name::endpoints all;
    std::vector<std::string> texts;
    for (int i = 0; i < 6; ++i) {
        holes.push_back(std::make_unique<black_hole>("127.0.0.1"));
        all.emplace_back("127.0.0.1", holes.back()->port());
        texts.push_back("127.0.0.1:" + std::to_string(holes.back()->port()));
    }
    const stand_in_name name{"many.test", [&] { return all; }};
    http_fixture fixture{"http://many.test:80"};
    fixture.options.timeout = 4500ms;  // what six looks leave of it is less than a second look
    const connection_watch watch;
    std::vector<std::string> expected;
    for (std::size_t attempt = 0; attempt < 2; ++attempt) {
        CHECK(fixture.deliver().what == outcome_class::transient);
        expected.insert(expected.end(), texts.begin(), texts.end());
        expected.push_back(texts[attempt]);
    }
    CHECK(watch.tried_among(texts) == expected);
}

TEST_CASE("C5: where all addresses are silent each gets a second look, and the rest of the time") {
    const silent_address first;
    const black_hole second{"127.0.0.1"};
    const std::string second_text = "127.0.0.1:" + std::to_string(second.port());
    const stand_in_name name{"none.test", [&] {
                                 return stand_in_name::endpoints{{first.ip, first.hole->port()},
                                                                 {"127.0.0.1", second.port()}};
                             }};
    http_fixture fixture{"http://none.test:80"};
    const connection_watch watch;
    const auto outcome = fixture.deliver();
    CHECK(outcome.what == outcome_class::transient);
    CHECK(outcome.reason == "connect to none.test:80 (" + second_text + "): no answer");
    CHECK(watch.tried_among({first.text, second_text}) ==
          std::vector<std::string>{first.text, second_text, first.text, second_text});
}
