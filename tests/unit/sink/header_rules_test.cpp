#include "sink/http/header_rules.hpp"

#include "support/catch.hpp"
#include "walrelay/core/header_name.hpp"

using namespace walrelay::sink::http;

namespace {

std::string encoded(std::string_view text) {
    std::string out;
    append_percent_encoded(out, text);
    return out;
}

}  // namespace

TEST_CASE("a header name is a token and nothing else") {
    for (const char* good : {"a", "X-Trace-Id", "traceparent", "a!#$%&'*+-.^_`|~9"})
        CHECK(walrelay::is_header_name(good));
    for (const char* bad : {"", "a b", "a:", "a\r\nb", "a\tb", "(a)", "a\"", "a/b", "é", "a="}) {
        CHECK_FALSE(walrelay::is_header_name(bad));
    }
    CHECK_FALSE(walrelay::is_header_name(std::string_view{"a\0b", 3}));
}

TEST_CASE(
    "each of the 256 bytes is allowed in a header value exactly when it is visible ASCII, space or "
    "tab") {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string value{'x', static_cast<char>(byte), 'y'};
        CAPTURE(byte);
        CHECK(is_field_value(value) == ((byte >= 0x20 && byte <= 0x7E) || byte == '\t'));
    }
    CHECK(is_field_value(""));
}

TEST_CASE("headers that frame the message or belong to walrelay are reserved in any case") {
    for (const char* name :
         {"Connection", "keep-alive", "Proxy-Authorization", "proxy-connection", "TE", "Trailer",
          "Transfer-Encoding", "UPGRADE", "Expect", "host", "Content-Length", "webhook-id",
          "Webhook-Anything", "x-walrelay-key", "X-Walrelay-"}) {
        CAPTURE(name);
        CHECK(walrelay::is_reserved_header(name));
    }
    for (const char* name :
         {"authorization", "content-type", "traceparent", "hostname", "x-walrelay", "webhook"}) {
        CAPTURE(name);
        CHECK_FALSE(walrelay::is_reserved_header(name));
    }
}

TEST_CASE("keys and types are percent-encoded so that decoding gives them back") {
    CHECK(encoded("order-17") == "order-17");
    CHECK(encoded("100%") == "100%25");
    CHECK(encoded("a\r\nb: c") == "a%0D%0Ab: c");
    CHECK(encoded("Zürich") == "Z%C3%BCrich");
    CHECK(encoded(" a b ") == "%20a b%20");
    CHECK(encoded(" ") == "%20");
    CHECK(encoded("\x7F") == "%7F");
    CHECK(encoded("").empty());
}
