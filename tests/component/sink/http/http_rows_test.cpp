// C13 and C14: what rows bring, as it is on the wire or refused.
#include <mutex>

#include "http_fixture.hpp"
#include "http_server.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

/// An endpoint that keeps each request as it came, with the time of the attempt cut out.
class wire {
public:
    wire()
        : server_{[this](peer& client) {
              for (std::string request; !(request = client.request()).empty();) {
                  keep(std::move(request));
                  if (!client.send(ok)) return;
              }
          }},
          fixture_{server_.url()} {
        fixture_.options.connections = 1;
        fixture_.open();
    }

    /// The one request that the record became.
    std::string sent(const event::record& record) {
        const std::size_t before = count();
        CHECK(fixture_.deliver(record).what == outcome_class::delivered);
        const std::lock_guard lock{mutex_};
        REQUIRE(requests_.size() == before + 1);
        return requests_.back();
    }

    /// Why the record was refused for good, and that nothing of it was sent.
    std::string refused(const event::record& record) {
        const std::size_t before = count();
        engine::outcome refusal;
        CHECK(fixture_.sink->send({1, 999}, 1, record, refusal) == sink::admission::refused);
        CHECK(refusal.what == outcome_class::event_final);
        CHECK(fixture_.deliver().what == outcome_class::delivered);
        CHECK(count() == before + 1);
        return refusal.reason;
    }

    [[nodiscard]] std::string host() const { return "127.0.0.1:" + std::to_string(server_.port()); }

private:
    void keep(std::string request) {
        const std::string name = "webhook-timestamp: ";
        request.erase(request.find(name) + name.size(), 10);
        const std::lock_guard lock{mutex_};
        requests_.push_back(std::move(request));
    }

    std::size_t count() {
        const std::lock_guard lock{mutex_};
        return requests_.size();
    }

    std::mutex mutex_;
    std::vector<std::string> requests_;
    http_server server_;
    http_fixture fixture_;
};

/// A value of a row, and what stands for it in a header that is encoded.
struct hostile {
    std::string value;
    std::string encoded;
};

const std::vector<hostile> hostile_values{
    {"a\r\nX-Evil: 1", "a%0D%0AX-Evil: 1"},
    {"a\rb", "a%0Db"},
    {"a\nb", "a%0Ab"},
    {std::string{"a\0b", 3}, "a%00b"},
    {"\r\n\r\nPOST /evil HTTP/1.1\r\n\r\n", "%0D%0A%0D%0APOST /evil HTTP/1.1%0D%0A%0D%0A"},
    {"Z\xC3\xBCrich \xF0\x9F\x98\x80", "Z%C3%BCrich %F0%9F%98%80"},
    {"\xFF\xFE", "%FF%FE"},
    {"\x7F\x01\x1B", "%7F%01%1B"},
};

const std::string tail = "User-Agent: walrelay/" WALRELAY_VERSION "\r\n\r\n{}";

}  // namespace

TEST_CASE("C13: id, key and type stand encoded on the wire, byte for byte, whatever they hold") {
    wire endpoint;
    auto all = hostile_values;
    all.push_back({"a: b", "a: b"});
    all.push_back({"%0d%0a", "%250d%250a"});
    all.push_back({" \t ", "%20%09%20"});
    for (const auto& [value, encoded] : all) {
        CAPTURE(encoded);
        auto record = plain_record();
        record.id = record.key.emplace(value);
        record.type = value;
        CHECK(endpoint.sent(record) ==
              "POST /hook HTTP/1.1\r\nHost: " + endpoint.host() +
                  "\r\nContent-Type: application/json\r\nContent-Length: 2\r\nwebhook-id: " +
                  encoded + "\r\nwebhook-timestamp: \r\nx-walrelay-key: " + encoded +
                  "\r\nx-walrelay-type: " + encoded + "\r\nx-walrelay-attempt: 1\r\n" + tail);
    }
}

TEST_CASE("C13: a header of the row is on the wire as it is, or refuses the row by its name") {
    wire endpoint;
    for (const std::string good : {"", "plain", "a: b", "a,b;c=\"d\"", "tab\tand %20 stay"}) {
        CAPTURE(good);
        auto record = plain_record();
        record.headers = {{"x-note", good}};
        CHECK(contains(endpoint.sent(record),
                       "x-walrelay-attempt: 1\r\nx-note: " + good + "\r\n" + tail));
    }
    for (const auto& [value, encoded] : hostile_values) {
        CAPTURE(encoded);
        auto record = plain_record();
        record.headers = {{"x-note", value}};
        CHECK(endpoint.refused(record) ==
              "header \"x-note\" of the row holds a byte other than visible ASCII, space and tab");
    }
}

TEST_CASE("C13: 70 kB in any column that becomes a header refuse the row and are not repeated") {
    wire endpoint;
    const std::string large(70'000, 'y');
    const auto refused = [&](auto change) {
        auto record = plain_record();
        change(record);
        const auto reason = endpoint.refused(record);
        CHECK_FALSE(contains(reason, "yyy"));
        CHECK(reason.size() < 200);
        return reason;
    };
    CHECK(refused([&](auto& record) {
              record.headers = {{"x-note", large}};
          }) == "header \"x-note\" of the row does not fit into 16 KiB of request head");
    CHECK(contains(refused([&](auto& record) { record.key = large; }), "16 KiB"));
    CHECK(contains(refused([&](auto& record) { record.type = large; }), "16 KiB"));
    CHECK(contains(refused([&](auto& record) { record.id = large; }), "16 KiB"));
    CHECK(contains(refused([&](auto& record) { record.content_type = large; }), "70"));
    const std::string path = "/" + large;
    CHECK(contains(refused([&](auto& record) { record.destination = path; }), "70"));
}

TEST_CASE("C14: whatever path a record brings, the host of the request stays the sink's") {
    wire endpoint;
    for (const char* path : {"//evil.example/", "/@evil.example", "/..%2fadmin", "/%2e%2e",
                             "/a?x=http://evil.example/", "/:80@evil.example"}) {
        CAPTURE(path);
        auto record = plain_record();
        record.destination = path;
        const std::string request = endpoint.sent(record);
        CHECK(request.rfind(
                  "POST " + std::string{path} + " HTTP/1.1\r\nHost: " + endpoint.host() + "\r\n",
                  0) == 0);
    }
    for (const char* path : {"@evil.example", "http://evil.example/", "evil.example:80", "*",
                             "/a b", "/a#b", "/a\r\nHost: evil.example"}) {
        CAPTURE(path);
        auto record = plain_record();
        record.destination = path;
        CHECK(endpoint.refused(record) == "the path of the URL holds a byte that no URL may hold");
    }
}
