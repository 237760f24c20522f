#include "walrelay/config/reader.hpp"

#include <chrono>
#include <string>
#include <variant>

#include "support/catch.hpp"
#include "test_secrets.hpp"

namespace walrelay::config {

namespace {

using namespace std::chrono_literals;
using globs = std::vector<std::string>;

reading read(const std::string& yaml) {
    return read_text(yaml, "relay.yaml", test_secrets());
}

/// A whole file around one HTTP sink.
std::string with_http(const std::string& options) {
    return "source: { conninfo: '', slot: s, publication: p }\n"
           "sinks: { w: { http: { " +
           options +
           " } } }\n"
           "routes: [ { from: walrelay.outbox, to: w } ]\n";
}

std::string with_sections(const std::string& sections) {
    return "source: { conninfo: '', slot: s, publication: p }\n"
           "sinks: { c: { stdout: {} } }\n"
           "routes: [ { from: walrelay.outbox, to: c } ]\n" +
           sections;
}

std::string with_conninfo(const std::string& conninfo) {
    return "source: { conninfo: \"" + conninfo +
           "\", slot: s, publication: p }\n"
           "sinks: { c: { stdout: {} } }\n"
           "routes: [ { from: walrelay.outbox, to: c } ]\n";
}

const std::string everything = R"(
source:
  conninfo: "host=/tmp password=${env:TOKEN}"
  slot: walrelay_1
  publication: [ walrelay, "Odd, \"name\"" ]
  progress: true
  give_up_after: 90s
  exit_delay: 0s
sinks:
  events:
    kafka:
      brokers: "SSL://a:9092, b"
      delivery: at_least_once
      properties: { compression.codec: lz4, linger.ms: 5, sasl.password: "${env:TOKEN}" }
      metadata: true
  Work-ers_2:
    http:
      url: "https://[::1]:8443/{queue}/x?k={{{key}}}"
      headers: { Authorization: "Bearer ${env:TOKEN}", x-team: shop, x-dollar: "$${env:TOKEN} $ ${env:NESTED}" }
      signing: [ whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" ]
      timeout: 1m
      connections: ${env:NUMBER}
      rate: 90/m
      success: [ 2xx, 409, 300-304 ]
      tls: { ca: /ca.pem, cert: /c.pem, key: /k.pem }
      metadata: true
  console: { stdout: {} }
  nothing: { discard: }
routes:
  - from: walrelay.outbox
    where: { topic: [ "a.*", "b" ], type: "x?" }
    to: [ nothing, events ]
    topic: "t.{topic}"
    key: "{{{key}"
    topics: "t.*"
    envelope: raw
    on_event_error: halt
  - from: Shop."mail.outbox"
    shape: { id: "{a}-{b}", key: "{c}", type: mail, payload: Body, headers: "meta data" }
    to: Work-ers_2
  - { from: shop.mini, shape: { payload: p }, to: console }
  - { from: shop.audit, to: none }
on_event_error: halt
retry: { max_attempts: 0, max_age: 0s }
limits: { in_flight_events: 10, in_flight_bytes: 2MB, replay_events: 30, event_bytes: 4KiB }
admin: { listen: "0.0.0.0:0", token: "${file:/run/secrets/token}" }
log: { level: debug, format: json }
)";

}  // namespace

TEST_CASE("Every option of a file that uses all of them arrives in the model") {
    const reading result = read(everything);
    INFO(report(result));
    REQUIRE(result.model);
    CHECK(result.warnings.empty());
    const model& got = *result.model;

    CHECK(got.source.conninfo == "host=/tmp password=" + std::string{canary});
    CHECK(got.source.slot == "walrelay_1");
    CHECK(got.source.publications == std::vector<std::string>{"walrelay", "Odd, \"name\""});
    CHECK(got.source.progress);
    CHECK(got.source.give_up_after == 90s);
    CHECK(got.source.exit_delay == 0s);
    CHECK(got.limits.in_flight_events == 10);
    CHECK(got.limits.in_flight_bytes == 2'000'000);
    CHECK(got.limits.replay_events == 30);
    CHECK(got.limits.event_bytes == 4096);
    CHECK(got.admin.listen == "0.0.0.0:0");
    CHECK(got.admin.token == canary);
    CHECK(got.log.level == log_level::debug);
    CHECK(got.log.format == log_format::json);
}

TEST_CASE("Sinks keep the order of the file, their options and their place") {
    const reading result = read(everything);
    REQUIRE(result.model);
    const auto& sinks = result.model->sinks;
    REQUIRE(sinks.size() == 4);

    CHECK(sinks[0].name == "events");
    CHECK(sinks[0].at.file == "relay.yaml");
    CHECK(sinks[0].at.line == 10);
    CHECK(sinks[0].at.column == 3);
    const auto& kafka = std::get<kafka_sink>(sinks[0].kind);
    CHECK(kafka.brokers == "SSL://a:9092, b");
    CHECK(kafka.properties ==
          std::map<std::string, std::string>{{"compression.codec", "lz4"},
                                             {"linger.ms", "5"},
                                             {"sasl.password", std::string{canary}}});
    CHECK(kafka.metadata);

    CHECK(sinks[1].name == "Work-ers_2");
    const auto& http = std::get<http_sink>(sinks[1].kind);
    CHECK(http.url == "https://[::1]:8443/{queue}/x?k={{{key}}}");
    REQUIRE(http.headers.size() == 3);
    CHECK(http.headers[0].first == "Authorization");
    CHECK(http.headers[0].second == "Bearer " + std::string{canary});
    CHECK(http.headers[1].second == "shop");
    CHECK(http.headers[2].second == "${env:TOKEN} $ ${env:TOKEN}");
    CHECK(http.signing.size() == 2);
    CHECK(http.timeout == 60s);
    CHECK(http.connections == 1234);
    CHECK(http.rate == request_rate{90, 60s});
    CHECK(http.success == std::vector<status_range>{{200, 299}, {409, 409}, {300, 304}});
    CHECK(http.tls.ca == "/ca.pem");
    CHECK(http.tls.certificate == "/c.pem");
    CHECK(http.tls.key == "/k.pem");
    CHECK(http.metadata);

    CHECK(std::holds_alternative<stdout_sink>(sinks[2].kind));
    CHECK(std::holds_alternative<discard_sink>(sinks[3].kind));
}

TEST_CASE("Routes keep their order, tables, sinks, shapes and place") {
    const reading result = read(everything);
    REQUIRE(result.model);
    const auto& routes = result.model->routes;
    REQUIRE(routes.size() == 4);

    CHECK(routes[0].from_schema == "walrelay");
    CHECK(routes[0].from_table == "outbox");
    CHECK(routes[0].at.line == 30);
    CHECK(routes[0].at.column == 5);
    REQUIRE(routes[0].where.size() == 2);
    CHECK(routes[0].where[0].first == "topic");
    CHECK(routes[0].where[0].second == globs{"a.*", "b"});
    CHECK(routes[0].where[1].second == globs{"x?"});
    CHECK(routes[0].to == std::vector<std::size_t>{3, 0});
    CHECK(std::holds_alternative<walrelay_shape>(routes[0].shape));
    CHECK(routes[0].topic == "t.{topic}");
    CHECK(routes[0].key == "{{{key}");
    CHECK(routes[0].topics == globs{"t.*"});

    CHECK(routes[1].from_schema == "Shop");
    CHECK(routes[1].from_table == "mail.outbox");
    const auto& shape = std::get<mapped_shape>(routes[1].shape);
    CHECK(shape.id == "{a}-{b}");
    CHECK(shape.key == "{c}");
    CHECK(shape.type == "mail");
    CHECK(shape.payload == "Body");
    CHECK(shape.headers == "meta data");
    CHECK_FALSE(routes[1].topic);
    CHECK_FALSE(routes[1].key);

    const auto& smallest = std::get<mapped_shape>(routes[2].shape);
    CHECK_FALSE(smallest.id);
    CHECK_FALSE(smallest.key);
    CHECK_FALSE(smallest.type);
    CHECK(smallest.payload == "p");
    CHECK_FALSE(smallest.headers);

    CHECK(routes[3].to.empty());
}

TEST_CASE("A section with all of its lines commented out has the defaults") {
    const reading result = read(with_sections("limits:\nadmin:\nlog:\nretry:\n"));
    INFO(report(result));
    REQUIRE(result.model);
    CHECK(result.model->limits.event_bytes == 1U << 20);
    CHECK(result.model->admin.listen == "127.0.0.1:9187");
    CHECK(result.model->admin.token.empty());
    CHECK(result.model->source.exit_delay == 10s);
    CHECK(result.model->source.give_up_after == 0s);
}

TEST_CASE("A relay gives up on Postgres never, or after a second at least") {
    const auto after = [](const std::string& duration) {
        return read("source: { conninfo: '', slot: s, publication: p, give_up_after: " + duration +
                    " }\n"
                    "sinks: { c: { stdout: {} } }\n"
                    "routes: [ { from: walrelay.outbox, to: c } ]\n");
    };
    for (const std::string duration : {"0s", "0ms", "1s", "1000ms", "30s", "5m", "8760h"}) {
        INFO(duration);
        CHECK(after(duration).model);
    }
    for (const std::string duration : {"1ms", "999ms", "0", "30", "never", "-1s", "8761h"}) {
        INFO(duration);
        const reading result = after(duration);
        REQUIRE(result.problems.size() == 1);
        CHECK(result.problems[0].path == "source.give_up_after");
    }
}

TEST_CASE("listen: off means no admin endpoint") {
    const reading result = read(with_sections("admin: { listen: off }"));
    INFO(report(result));
    REQUIRE(result.model);
    CHECK(result.model->admin.listen.empty());
}

TEST_CASE("An admin endpoint on loopback needs no token, any other does") {
    for (const std::string listen :
         {"127.0.0.1:9187", "127.8.0.1:1", "localhost:0", "'[::1]:9187'"}) {
        CHECK(read(with_sections("admin: { listen: " + listen + " }")).model);
    }
    for (const std::string listen :
         {"0.0.0.0:9187", "'[::]:9187'", "10.0.0.1:9187", "127.example.com:9187"}) {
        INFO(listen);
        const std::string text = report(read(with_sections("admin: { listen: " + listen + " }")));
        CHECK(text.find("admin.token is required") != std::string::npos);
        CHECK(read(with_sections("admin: { token: abc, listen: " + listen + " }")).model);
    }
    for (const std::string listen :
         {"127.0.0.1", "'127.0.0.1:'", "127.0.0.1:65536", "9187", "'[::1]9187'", "''"}) {
        INFO(listen);
        CHECK_FALSE(read(with_sections("admin: { listen: " + listen + " }")).model);
    }
}

TEST_CASE("URLs that a client can use are taken") {
    for (const std::string url :
         {"http://localhost", "http://127.0.0.1:80", "http://localhost?a={b}",
          "https://a-b.example.com:65535/x%20y", "http://localhost/{a}{b}/~._-!$&()*+,;=:@",
          "http://localhost/{{literal}}", "https://example.com./"}) {
        const reading result = read(with_http("url: '" + url + "'"));
        INFO(url << "\n" << report(result));
        CHECK(result.model);
    }
}

TEST_CASE("What may be shown of a URL has *** for the secrets of its path and query") {
    const auto url = [](const std::string& text) {
        const reading result = read(with_http("url: \"" + text + "\""));
        INFO(text << ": " << report(result));
        REQUIRE(result.model);
        const auto& read_url = std::get<http_sink>(result.model->sinks[0].kind);
        CHECK(read_url.shown_url.find(canary) == std::string::npos);
        return read_url.url + " " + read_url.shown_url;
    };
    const std::string host = "http://localhost";
    const std::string token{canary};
    CHECK(url(host + "/in/{topic}") == host + "/in/{topic} ");
    CHECK(url(host + "/x/${env:TOKEN}") == host + "/x/" + token + " " + host + "/x/***");
    CHECK(url(host + "/${env:TOKEN}/{topic}?k=${env:TOKEN}&n=1") ==
          host + "/" + token + "/{topic}?k=" + token + "&n=1 " + host + "/***/{topic}?k=***&n=1");
    CHECK(url(host + "?${env:TOKEN}") == host + "?" + token + " " + host + "?***");
    // The host is where the request goes, not what opens the door.
    CHECK(url("http://${env:TOKEN}/in") == "http://" + token + "/in ");

    secret_sources whole;
    whole.environment = [](std::string_view) { return "http://localhost:1/hook/s3cr3t"; };
    const reading result = read_text(with_http("url: \"${env:URL}/{topic}\""), "relay.yaml", whole);
    REQUIRE(result.model);
    CHECK(std::get<http_sink>(result.model->sinks[0].kind).shown_url ==
          "http://localhost:1/***/{topic}");
}

TEST_CASE("Plain http is warned about off loopback only") {
    for (const std::string url :
         {"http://localhost/", "http://127.1.2.3:8080/", "http://[::1]/", "https://example.com/"}) {
        INFO(url);
        CHECK(read(with_http("url: '" + url + "'")).warnings.empty());
    }
    for (const std::string url :
         {"http://example.com/", "http://10.0.0.1/", "http://localhost.example.com/"}) {
        INFO(url);
        const reading result = read(with_http("url: '" + url + "'"));
        CHECK(result.model);
        CHECK(result.warnings.size() == 1);
    }
}

TEST_CASE("A connection to another host without sslmode=verify-full is warned about") {
    for (const std::string conninfo :
         {"host=db.example.com", "host = 'db.example.com' sslmode=require", "hostaddr=10.0.0.1",
          "postgresql://u:p%40@db.example.com/shop",
          "postgres://db:5432,localhost/shop?sslmode=verify-ca", "host=/run,10.0.0.1 dbname='a b'",
          "postgresql:///shop?host=db.example.com"}) {
        INFO(conninfo);
        const reading result = read(with_conninfo(conninfo));
        CHECK(result.model);
        CHECK(result.warnings.size() == 1);
    }
    for (const std::string conninfo :
         {"", "dbname=shop", "host=/var/run/postgresql", "host=localhost",
          "host=127.0.0.1 hostaddr=::1", "host=db.example.com sslmode=verify-full",
          "host=db.example.com sslmode = 'verify-full'", "postgresql:///shop",
          "postgresql://%2Fvar%2Frun/shop", "postgresql://[::1]:5432/shop",
          "postgresql://db.example.com/shop?sslmode=verify-full",
          "host=db.example.com sslrootcert=system", "service=shop"}) {
        INFO(conninfo);
        const reading result = read(with_conninfo(conninfo));
        CHECK(result.model);
        CHECK(result.warnings.empty());
    }
}

TEST_CASE("A secret that is used twice is warned about once") {
    const reading result =
        read(with_http("url: 'https://example.com/', headers: { a: '${file:/run/secrets/open}', b: "
                       "'${file:/run/secrets/open}' }"));
    CHECK(result.model);
    CHECK(result.warnings.size() == 1);
}

TEST_CASE("Sources that don't know about permissions give no warning") {
    secret_sources sources = test_secrets();
    sources.others_may_read = nullptr;
    const reading result = read_text(
        with_http("url: 'https://example.com/', headers: { a: '${file:/run/secrets/open}' }"), "f",
        sources);
    CHECK(result.model);
    CHECK(result.warnings.empty());
}

TEST_CASE("An alias stands for its value in each place, and a problem names that place") {
    const reading good = read(
        "source: { conninfo: '', slot: s, publication: p }\n"
        "sinks: { a: { http: &http { url: 'http://localhost/' } }, b: { http: *http } }\n"
        "routes: [ { from: walrelay.outbox, to: [ a, b ] } ]\n");
    INFO(report(good));
    REQUIRE(good.model);
    CHECK(std::get<http_sink>(good.model->sinks[1].kind).url == "http://localhost/");

    const reading bad = read(with_http("url: &u 'http://localhost/', timeout: *u"));
    REQUIRE(bad.problems.size() == 1);
    CHECK(bad.problems[0].path == "sinks.w.http.timeout");
    CHECK(bad.problems[0].at.line == 2);
}

TEST_CASE("A problem without a place names file and path only") {
    CHECK(problem{{"relay.yaml", 0, 0}, "", "can't be read"}.line() == "relay.yaml: can't be read");
    CHECK(problem{{"relay.yaml", 12, 5}, "sinks.a", "wrong"}.line() ==
          "relay.yaml:12:5: sinks.a: wrong");
}

}  // namespace walrelay::config
