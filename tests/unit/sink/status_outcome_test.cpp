#include "sink/http/status_outcome.hpp"

#include <set>

#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::sink::http;
using namespace std::chrono_literals;
using engine::outcome_class;

namespace {

outcome_class expected(int status) {
    if (status >= 200 && status < 300) return outcome_class::delivered;
    if (std::set{408, 425, 429}.contains(status)) return outcome_class::transient;
    if (std::set{404, 405, 410, 421}.contains(status)) return outcome_class::target;
    if (std::set{401, 403, 407}.contains(status)) return outcome_class::endpoint;
    if (status >= 300 && status < 400) return outcome_class::endpoint;
    if (status >= 400 && status < 500) return outcome_class::event;
    return outcome_class::transient;
}

}  // namespace

TEST_CASE("C1: every status has the class of the table, and a failure names it") {
    for (int status = 100; status <= 999; ++status) {
        CAPTURE(status);
        const auto outcome = outcome_of({status, {}, {}}, {{}});
        CHECK(outcome.what == expected(status));
        if (outcome.what != outcome_class::delivered) {
            CHECK(outcome.reason.rfind("HTTP " + std::to_string(status), 0) == 0);
        }
    }
    CHECK(outcome_of({503, {}, {}}, {{}}).reason == "HTTP 503 Service Unavailable");
    CHECK(outcome_of({597, {}, {}}, {{}}).reason == "HTTP 597");
}

TEST_CASE("the sink's success codes replace 2xx: one more is delivered, one left out stalls") {
    const std::vector<config::status_range> only{{200, 200}, {409, 409}};
    CHECK(outcome_of({200, {}, {}}, only).what == outcome_class::delivered);
    CHECK(outcome_of({409, {}, {}}, only).what == outcome_class::delivered);
    CHECK(outcome_of({204, {}, {}}, only).what == outcome_class::unknown);
    CHECK(outcome_of({204, {}, {}}, only).reason ==
          "HTTP 204 No Content, not in the sink's success codes");
    CHECK(outcome_of({410, {}, {}}, only).what == outcome_class::target);
}

TEST_CASE(
    "C2: Retry-After holds the target on 429 and 503, else the lane, and says nothing elsewhere") {
    for (const int status : {408, 425, 429, 500, 502, 503, 504}) {
        CAPTURE(status);
        const auto outcome = outcome_of({status, 7s, {}}, {{}});
        CHECK(outcome.retry_after == 7s);
        CHECK(outcome.hold_target == (status == 429 || status == 503));
    }
    CHECK_FALSE(outcome_of({503, {}, {}}, {{}}).hold_target);
    CHECK_FALSE(outcome_of({400, 7s, {}}, {{}}).retry_after.has_value());
    CHECK_FALSE(outcome_of({301, 7s, {}}, {{}}).retry_after.has_value());
}

TEST_CASE("C7: a redirect names the host that it points to and nothing else of it") {
    const auto reason = [](std::string_view location) {
        return outcome_of({302, {}, location}, {{}}).reason;
    };
    const std::string tail = " (redirects are never followed)";
    CHECK(reason("http://169.254.169.254/latest?token=x") ==
          "HTTP 302 Found to host 169.254.169.254" + tail);
    CHECK(reason("//user:pw@evil.example:1/x") == "HTTP 302 Found to host evil.example:1" + tail);
    CHECK(reason("/login?next=http://elsewhere/") == "HTTP 302 Found" + tail);
    CHECK(reason("") == "HTTP 302 Found" + tail);
    CHECK(reason("http://a\x01"
                 "b/") == "HTTP 302 Found to host a\\x01b" + tail);
}
