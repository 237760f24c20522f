#include "sink/http/request_writer.hpp"

#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::sink::http;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::system_clock::time_point moment{1614265330s};
constexpr std::uint64_t limit = 1000;

event::record base() {
    event::record record;
    record.id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    record.destination = "/hooks/a?b=c";
    record.body = "{\"test\": 2432232314}";
    record.content_type = "application/json";
    record.table = "public.outbox";
    record.position = {lsn{0x16B374D848}, 0, 77, 3};
    record.epoch = 5;
    return record;
}

request_writer make(config::http_sink options = {}) {
    const auto where = parse_origin("http://hooks.example:8080/x");
    REQUIRE(where.has_value());
    auto made = request_writer::make(options, *where, limit);
    REQUIRE(made.has_value());
    return std::move(made).value();
}

std::string head(const event::record& record, const request_writer& writer) {
    std::string out = "left over";
    engine::outcome refusal;
    CHECK(writer.write(out, record, 1, moment, refusal));
    CHECK(refusal.reason.empty());
    return out;
}

std::string refused(const event::record& record, const request_writer& writer) {
    std::string out;
    engine::outcome refusal;
    CHECK_FALSE(writer.write(out, record, 1, moment, refusal));
    CHECK(refusal.what == engine::outcome_class::event_final);
    return refusal.reason;
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("the head of a plain request, byte for byte") {
    CHECK(head(base(), make()) ==
          "POST /hooks/a?b=c HTTP/1.1\r\nHost: hooks.example:8080\r\nContent-Type: "
          "application/json\r\n"
          "Content-Length: 20\r\nwebhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\nwebhook-timestamp: "
          "1614265330\r\n"
          "x-walrelay-attempt: 1\r\nUser-Agent: walrelay/" WALRELAY_VERSION "\r\n\r\n");
}

TEST_CASE("a secret in the path or query is sent where *** is shown") {
    auto record = base();
    record.destination = "/hooks/***?b=***";
    record.secret_destination = "/hooks/s3cr3t?b=c";
    CHECK(head(record, make()).starts_with("POST /hooks/s3cr3t?b=c HTTP/1.1\r\n"));
    record.destination = "/***";
    record.secret_destination = "?k=s3cr3t";
    CHECK(head(record, make()).starts_with("POST /?k=s3cr3t HTTP/1.1\r\n"));
}

TEST_CASE("the head with everything that a sink and a row can add, byte for byte") {
    config::http_sink options;
    options.headers = {{"Authorization", "Bearer t"}, {"X-Env", "prod"}};
    options.signing = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
    options.metadata = true;
    auto record = base();
    record.key = "Zürich\n";
    record.type = "order.paid";
    record.table = "public.aus gang";
    record.headers = {{"traceparent", "00-abc"}, {"none", std::nullopt}, {"x-empty", ""}};
    CHECK(
        head(record, make(options)) ==
        "POST /hooks/a?b=c HTTP/1.1\r\nHost: hooks.example:8080\r\nAuthorization: Bearer "
        "t\r\nX-Env: prod\r\n"
        "Content-Type: application/json\r\nContent-Length: 20\r\nwebhook-id: "
        "msg_p5jXN8AQM9LWM0D4loKWxJek\r\n"
        "webhook-timestamp: 1614265330\r\n"
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n"
        "x-walrelay-key: Z%C3%BCrich%0A\r\nx-walrelay-type: order.paid\r\nx-walrelay-attempt: 1\r\n"
        "x-walrelay-lsn: 16/B374D848\r\nx-walrelay-seq: 3\r\nx-walrelay-xid: 77\r\n"
        "x-walrelay-table: public.aus gang\r\nx-walrelay-epoch: 5\r\n"
        "traceparent: 00-abc\r\nx-empty: \r\nUser-Agent: walrelay/" WALRELAY_VERSION "\r\n\r\n");
}

TEST_CASE("no body is an empty body with a length, and an empty key is a key") {
    auto record = base();
    record.body.reset();
    record.key = "";
    const auto text = head(record, make());
    CHECK(contains(text, "Content-Length: 0\r\n"));
    CHECK(contains(text, "x-walrelay-key: \r\n"));
}

TEST_CASE("a URL without a path is the root") {
    auto record = base();
    record.destination = "";
    CHECK(contains(head(record, make()), "POST / HTTP/1.1\r\n"));
    record.destination = "?q=1";
    CHECK(contains(head(record, make()), "POST /?q=1 HTTP/1.1\r\n"));
}

TEST_CASE(
    "configured content-type and user-agent hold, and a row's user-agent does where none is "
    "configured") {
    config::http_sink options;
    options.headers = {{"content-type", "application/vnd.a+json"}, {"user-agent", "shop"}};
    const auto text = head(base(), make(options));
    CHECK(contains(text, "content-type: application/vnd.a+json\r\n"));
    CHECK_FALSE(contains(text, "Content-Type: application/json"));
    CHECK_FALSE(contains(text, "walrelay/"));
    auto record = base();
    record.headers = {{"User-Agent", "row"}};
    CHECK(contains(head(record, make()), "User-Agent: row\r\n"));
    CHECK_FALSE(contains(head(record, make()), "walrelay/"));
}

TEST_CASE("a row can't set headers that belong to the connection, the sink or walrelay") {
    config::http_sink options;
    options.headers = {{"X-Env", "prod"}};
    const auto writer = make(options);
    for (const char* name :
         {"Connection", "transfer-encoding", "Content-Length", "HOST", "Authorization", "te",
          "trailer", "upgrade", "keep-alive", "Proxy-Authorization", "webhook-id",
          "webhook-signature", "X-Walrelay-Key", "x-env"}) {
        CAPTURE(name);
        auto record = base();
        record.headers = {{name, "v4lue"}};
        const auto reason = refused(record, writer);
        CHECK(contains(reason, std::string{"header \""} + name + "\""));
        CHECK_FALSE(contains(reason, "v4lue"));
        record.headers = {{name, std::nullopt}};
        head(record, writer);
    }
}

TEST_CASE("C13: no byte of a row ends a header line") {
    const auto writer = make();
    for (const std::string& value :
         {std::string{"a\r\nX-Evil: 1"}, std::string{"a\nb"}, std::string{"a\rb"},
          std::string{"a\0b", 3}, std::string{"Z\xC3\xBCrich"}, std::string{"\x7F"}}) {
        auto record = base();
        record.headers = {{"x-note", value}};
        const auto reason = refused(record, writer);
        CHECK(contains(reason, "header \"x-note\""));
        CHECK_FALSE(contains(reason, "Evil"));

        record = base();
        record.headers = {{value, "1"}};
        refused(record, writer);

        record = base();
        record.content_type = value;
        refused(record, writer);

        record = base();
        const std::string destination = "/" + value;
        record.destination = destination;
        refused(record, writer);

        record = base();
        record.id = value;
        record.key = value;
        record.type = value;
        const auto text = head(record, writer);
        CHECK_FALSE(contains(text, value));
    }
    for (const char* target : {"/a b", "/a#b", "http://other/", "a/b", "/a\tb"}) {
        auto record = base();
        record.destination = target;
        CHECK(contains(refused(record, writer), "path"));
    }
}

TEST_CASE("a body over limits.event_bytes is refused with its size, one at the limit is sent") {
    auto record = base();
    const std::string at_limit(limit, 'x');
    const std::string over = at_limit + "x";
    record.body = at_limit;
    head(record, make());
    record.body = over;
    CHECK(refused(record, make()) == "the body has 1001 bytes, limits.event_bytes allows 1000");
}

TEST_CASE("C13: a head over 16 KiB is refused, wherever its size comes from") {
    const std::string large(20'000, 'x');
    const std::string encoded_large(8'000, '\x01');
    auto record = base();
    record.headers = {{"x-large", large}};
    CHECK(contains(refused(record, make()), "header \"x-large\""));
    record = base();
    record.key = large;
    CHECK(contains(refused(record, make()), "16 KiB"));
    record.key = encoded_large;
    CHECK(contains(refused(record, make()), "the limit is 16384"));
    record = base();
    const std::string destination = "/" + large;
    record.destination = destination;
    CHECK(contains(refused(record, make()), "the limit is 16384"));
}

TEST_CASE("a configured header that can't be sent is refused by name, its value is not repeated") {
    const auto where = parse_origin("http://h/");
    for (const auto& [name, value] :
         std::vector<std::pair<std::string, std::string>>{{"a b", "S3CR3T"},
                                                          {"x", "S3CR3T\n"},
                                                          {"Host", "S3CR3T"},
                                                          {"content-length", "S3CR3T"},
                                                          {"Connection", "S3CR3T"},
                                                          {"webhook-id", "S3CR3T"},
                                                          {"Idempotency-Key", "S3CR3T"},
                                                          {"X-Twice", "S3CR3T"}}) {
        CAPTURE(name);
        config::http_sink options;
        options.headers = {{"x-twice", "S3CR3T"}, {name, value}};
        const auto made = request_writer::make(options, *where, limit);
        REQUIRE_FALSE(made.has_value());
        CHECK(contains(made.error().text(), name));
        CHECK_FALSE(contains(made.error().text(), "S3CR3T"));
    }
}

TEST_CASE("a push adds its workflow and an idempotency-key that the row can't replace") {
    auto record = base();
    record.push = {"0192-w", "2", "mail\n", "Z\xC3\xBCrich%"};
    record.headers = {{"Idempotency-Key", "the caller's"}, {"traceparent", "00-1"}};
    const auto text = head(record, make());
    CHECK(contains(text,
                   "x-walrelay-attempt: 1\r\nx-walrelay-workflow-id: 0192-w\r\n"
                   "x-walrelay-workflow-attempt: 2\r\nx-walrelay-queue: mail%0A\r\n"
                   "x-walrelay-name: Z%C3%BCrich%25\r\nidempotency-key: 0192-w\r\n"
                   "traceparent: 00-1\r\n"));
    CHECK_FALSE(contains(text, "caller"));
    record.push.reset();
    CHECK(contains(head(record, make()), "Idempotency-Key: the caller's\r\n"));
    const std::string large(20'000, 'x');
    record.push = {"0192-w", "2", large, "n"};
    CHECK(contains(refused(record, make()), "16 KiB"));
}
