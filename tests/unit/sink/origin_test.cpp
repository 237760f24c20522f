#include "sink/http/origin.hpp"

#include "support/catch.hpp"

using namespace walrelay::sink::http;

TEST_CASE("scheme, host and port come from the URL, and templates in the path do no harm") {
    struct expectation {
        const char* url;
        bool tls;
        const char* host;
        int port;
        const char* authority;
    };

    for (const auto& [url, tls, host, port, authority] :
         {expectation{"http://127.0.0.1:8080/{queue}", false, "127.0.0.1", 8080, "127.0.0.1:8080"},
          expectation{"http://hooks.example", false, "hooks.example", 80, "hooks.example"},
          expectation{"HTTPS://hooks.example/a?b={c}", true, "hooks.example", 443, "hooks.example"},
          expectation{"https://hooks.example:443/", true, "hooks.example", 443, "hooks.example"},
          expectation{"https://hooks.example:80?x=1", true, "hooks.example", 80,
                      "hooks.example:80"},
          expectation{"http://[::1]:81/x@y:z", false, "::1", 81, "[::1]:81"},
          expectation{"http://[2001:db8::7]/", false, "2001:db8::7", 80, "[2001:db8::7]"}}) {
        CAPTURE(url);
        const auto got = parse_origin(url);
        REQUIRE(got.has_value());
        CHECK(got->tls == tls);
        CHECK(got->host == host);
        CHECK(got->port == port);
        CHECK(got->authority == authority);
    }
    CHECK(parse_origin("http://[::1]:81/")->text() == "[::1]:81");
}

TEST_CASE("a URL that names no host to connect to is refused without repeating it") {
    for (const char* url :
         {"", "hooks.example/S3CR3T", "ftp://hooks.example/S3CR3T", "http:///S3CR3T",
          "http://user:S3CR3T@host/", "http://a b/S3CR3T", "http://host:0/S3CR3T",
          "http://host:65536/S3CR3T", "http://host:/S3CR3T", "http://host:8x/S3CR3T",
          "http://[::1/S3CR3T", "http://[::1]80/S3CR3T", "http://{host}/S3CR3T",
          "http://ho\r\nst/S3CR3T"}) {
        CAPTURE(url);
        const auto got = parse_origin(url);
        REQUIRE_FALSE(got.has_value());
        CHECK(got.error().text().find("S3CR3T") == std::string::npos);
        CHECK_FALSE(got.error().cause.empty());
    }
}
