#include <mutex>

#include "http_fixture.hpp"
#include "http_server.hpp"
#include "sink/http/signing.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

/// What the server got, for the test's thread.
class inbox {
public:
    void add(std::string request) {
        const std::lock_guard lock{mutex_};
        requests_.push_back(std::move(request));
    }

    std::vector<std::string> all() {
        const std::lock_guard lock{mutex_};
        return requests_;
    }

    http_server::script answering(std::string answer) {
        return [this, answer = std::move(answer)](peer& client) {
            for (std::string request; !(request = client.request()).empty();) {
                add(std::move(request));
                if (!client.send(answer)) return;
            }
        };
    }

private:
    std::mutex mutex_;
    std::vector<std::string> requests_;
};

std::string value_of(const std::string& request, const std::string& name) {
    const std::size_t at = request.find("\r\n" + name + ": ");
    REQUIRE(at != std::string::npos);
    const std::size_t begin = at + name.size() + 4;
    return request.substr(begin, request.find("\r\n", begin) - begin);
}

}  // namespace

TEST_CASE("a request arrives byte for byte as documented") {
    inbox got;
    const http_server server{got.answering(ok)};
    http_fixture fixture{server.url() + "/hook"};
    auto record = plain_record();
    record.key = "k%1";
    record.type = "order.paid";
    record.headers = {{"traceparent", "00-1"}};
    const auto before = std::chrono::system_clock::now();
    CHECK(fixture.deliver(record).what == outcome_class::delivered);
    REQUIRE(got.all().size() == 1);
    const std::string request = got.all().front();
    const std::string time = value_of(request, "webhook-timestamp");
    const std::chrono::system_clock::time_point stamp{std::chrono::seconds{std::stoll(time)}};
    CHECK(stamp >= before - 1s);
    CHECK(stamp <= std::chrono::system_clock::now());
    CHECK(
        request ==
        "POST /hook HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
            "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            "webhook-id: 0b9f1c6e-0000-4000-8000-000000000001\r\nwebhook-timestamp: " +
            time +
            "\r\nx-walrelay-key: k%251\r\nx-walrelay-type: order.paid\r\nx-walrelay-attempt: 1\r\n"
            "traceparent: 00-1\r\nUser-Agent: walrelay/" WALRELAY_VERSION "\r\n\r\n{}");
}

TEST_CASE("the signature on the wire is the one of the id, time and body on the wire") {
    inbox got;
    const http_server server{got.answering(ok)};
    http_fixture fixture{server.url()};
    fixture.options.signing = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                               "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="};
    auto record = plain_record();
    record.id = "mail.7/\xC3\xBC";
    CHECK(fixture.deliver(record).what == outcome_class::delivered);
    const std::string request = got.all().at(0);
    CHECK(value_of(request, "webhook-id") == "mail.7/%C3%BC");
    const auto signer = sink::http::signer::make(fixture.options.signing);
    std::string expected;
    REQUIRE(
        signer->append(expected, "mail.7/%C3%BC", value_of(request, "webhook-timestamp"), "{}"));
    CHECK(value_of(request, "webhook-signature") == expected);
    CHECK(contains(expected, " v1,"));
}

TEST_CASE("a body of a megabyte arrives whole, from the frame or copied") {
    inbox got;
    const http_server server{got.answering(ok)};
    http_fixture fixture{server.url()};
    std::string body(1 << 20, 'x');
    for (std::size_t i = 0; i < body.size(); i += 1000)
        body[i] = static_cast<char>(i / 1000);
    const std::string original = body;
    auto record = plain_record();
    record.body = body;
    CHECK(fixture.deliver(record).what == outcome_class::delivered);
    record.body_in_frame = false;
    const auto attempt = fixture.start(record);
    body.assign(body.size(), '!');  // the record is good during the call only
    CHECK(fixture.finish(attempt).what == outcome_class::delivered);
    for (const auto& request : got.all())
        CHECK(request.substr(request.find("\r\n\r\n") + 4) == original);
    CHECK(got.all().size() == 2);
    CHECK(server.connections() == 1);
}

TEST_CASE(
    "hostile header values of a row never reach the wire, and the connection is free for the "
    "next") {
    inbox got;
    const http_server server{got.answering(ok)};
    http_fixture fixture{server.url()};
    fixture.options.connections = 1;
    fixture.open();
    for (const char* value : {"a\r\nX-Evil: 1", "a\nb", "Z\xC3\xBCrich"}) {
        auto record = plain_record();
        record.headers = {{"x-note", value}};
        engine::outcome refusal;
        CHECK(fixture.sink->send({1, 1}, 1, record, refusal) == sink::admission::refused);
        CHECK(refusal.what == outcome_class::event_final);
        CHECK(contains(refusal.reason, "x-note"));
        CHECK(fixture.sink->in_flight() == 0);
        CHECK(fixture.deliver().what == outcome_class::delivered);
    }
    for (const auto& request : got.all())
        CHECK_FALSE(contains(request, "x-note"));
    CHECK(server.connections() == 1);
}

TEST_CASE(
    "what is wrong with the sink's options is said when it is opened, with the option's name") {
    const auto refused = [](const std::function<void(config::http_sink&)>& change) {
        http_fixture fixture{"http://127.0.0.1:1/"};
        change(fixture.options);
        const auto made = sink::make_http(fixture.loop, fixture.options, "workers", 7,
                                          fixture.limits, fixture.log);
        REQUIRE_FALSE(made.has_value());
        return made.error().text();
    };
    CHECK(contains(refused([](auto& o) { o.url = "nowhere"; }),
                   "sinks.workers.http.url: has no scheme"));
    CHECK(contains(refused([](auto& o) { o.signing = {"x"}; }),
                   "sinks.workers.http.signing secret 1"));
    CHECK(contains(refused([](auto& o) {
                       o.headers = {{"Host", "x"}};
                   }),
                   "sinks.workers.http.headers: Host"));
    CHECK(contains(refused([](auto& o) { o.connections = 0; }), "sinks.workers.http.connections"));
    CHECK(contains(refused([](auto& o) {
                       o.url = "https://h/";
                       o.tls.ca = "/nowhere/ca.pem";
                   }),
                   "sinks.workers.http.tls.ca: /nowhere/ca.pem: No such file"));
}
