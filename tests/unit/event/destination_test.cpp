#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

config::route with_topic(std::string topic, std::vector<std::string> allowed = {}) {
    auto route = outbox_route({0});
    route.topic = std::move(topic);
    route.topics = std::move(allowed);
    return route;
}

std::string topic_fault(const std::string& topic, std::vector<std::string> allowed = {}) {
    return fault(*outbox_plan({kafka("k")}, {with_topic("{topic}", std::move(allowed))}),
                 outbox{.topic = topic}.row());
}

std::string path(const std::string& url, const outbox& values) {
    const auto plan = outbox_plan({http("h", url)}, {outbox_route({0})});
    const auto from = values.row();
    record out;
    build_well(*plan, from, 0, out);
    return std::string{out.destination};
}

std::string path_fault(const std::string& url, const outbox& values) {
    return fault(*outbox_plan({http("h", url)}, {outbox_route({0})}), values.row());
}

std::string map_fault(std::vector<config::sink> sinks, std::vector<config::route> routes) {
    const auto made = router::make(model(std::move(sinks), std::move(routes)));
    REQUIRE_FALSE(made.has_value());
    return made.error().text();
}

}  // namespace

TEST_CASE("A topic is the template filled from the row") {
    const auto plan = outbox_plan({kafka("k")}, {with_topic("shop.{topic}-{type}")});
    const auto from = outbox{.topic = "orders", .type = "v1"}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.destination == "shop.orders-v1");
}

TEST_CASE("A topic of 249 characters is taken and one of 250 refused") {
    const auto plan = outbox_plan({kafka("k")}, {outbox_route({0})});
    const std::string longest(249, 't');
    const auto from = outbox{.topic = longest}.row();
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.destination == longest);
    CHECK(topic_fault(longest + "t") == "make event walrelay.outbox: topic '" +
                                            std::string(64, 't') +
                                            "… (186 bytes more)' has 250 bytes; Kafka allows 249");
}

TEST_CASE("A topic that Kafka would not have, or that is its own, is refused by name") {
    const std::string start = "make event walrelay.outbox: ";
    const std::string alphabet = "' holds a character other than A-Z a-z 0-9 . _ -";
    CHECK(topic_fault("") == start + "the topic is empty");
    CHECK(topic_fault(".") == start + "topic '.' is not a name");
    CHECK(topic_fault("..") == start + "topic '..' is not a name");
    CHECK(topic_fault("../admin") == start + "topic '../admin" + alphabet);
    CHECK(topic_fault("a b") == start + "topic 'a b" + alphabet);
    CHECK(topic_fault("a\r\nb") == start + "topic 'a\\x0d\\x0ab" + alphabet);
    CHECK(topic_fault(std::string("a\0b", 3)) == start + "topic 'a\\x00b" + alphabet);
    CHECK(topic_fault("%2e%2e") == start + "topic '%2e%2e" + alphabet);
    CHECK(topic_fault("ö") == start + "topic 'ö" + alphabet);
    CHECK(topic_fault("__consumer_offsets") ==
          start + "topic '__consumer_offsets' belongs to Kafka itself");
    CHECK(topic_fault("__x", {"*"}) == start + "topic '__x' belongs to Kafka itself");
}

TEST_CASE("A NULL in a topic is refused by the name of its column") {
    CHECK(fault(*outbox_plan({kafka("k")}, {with_topic("a.{type}")}),
                outbox{.type = std::nullopt}.row()) ==
          "make event walrelay.outbox: topic: column \"type\" is NULL");
}

TEST_CASE("A topic from a row must be among the topics that the route allows") {
    const auto plan = outbox_plan({kafka("k")}, {with_topic("{topic}", {"orders.*", "billing"})});
    record out;
    for (const char* good : {"orders.eu", "billing"}) {
        const auto from = outbox{.topic = good}.row();
        build_well(*plan, from, 0, out);
        CHECK(out.destination == good);
    }
    CHECK(topic_fault("billing.x", {"orders.*", "billing"}) ==
          "make event walrelay.outbox: topic 'billing.x' is not among the topics that the route "
          "allows");
}

TEST_CASE("A topic that no row can change is checked when the map is read") {
    CHECK(map_fault({kafka("k")}, {with_topic("a b")}) ==
          "read route map.yaml:12:5: topic 'a b' holds a character other than A-Z a-z 0-9 . _ -");
    CHECK(map_fault({kafka("k")}, {with_topic("__x")}) ==
          "read route map.yaml:12:5: topic '__x' belongs to Kafka itself");
    CHECK(map_fault({kafka("k")}, {with_topic("b", {"a"})}) ==
          "read route map.yaml:12:5: topic 'b' is not among the topics that the route allows");
}

TEST_CASE("A mapped table into Kafka needs a topic") {
    CHECK(map_fault({kafka("k")}, {mapped_route("s", "t", {0}, mapped{.payload = "p"})}) ==
          "read route map.yaml:20:5: sink \"k\" is Kafka and the route names no topic. Hint: add "
          "topic: to "
          "the route");
}

TEST_CASE("Path and query are filled from the row and stay as the map wrote them elsewhere") {
    CHECK(path("http://h:8080/hooks/{topic}?t={type}&x=1", {.topic = "a", .type = "b"}) ==
          "/hooks/a?t=b&x=1");
    CHECK(path("https://h", {}) == "/");
    CHECK(path("https://h/", {}) == "/");
    CHECK(path("https://h?a={key}", {}) == "/?a=c-17");
    CHECK(path("https://h//x/../%2e/;a=b/?", {}) == "//x/../%2e/;a=b/?");
    CHECK(path("https://h/{{{topic}}}", {.topic = "a"}) == "/{a}");
}

TEST_CASE("C14: Whatever a row holds stays inside its segment of the path") {
    const auto in_path = [](const std::string& value) {
        return path("http://h/p/{topic}/e?q={topic}", {.topic = value});
    };
    const auto expected = [](const std::string& encoded) {
        return "/p/" + encoded + "/e?q=" + encoded;
    };
    CHECK(in_path("AZaz09-._~") == expected("AZaz09-._~"));
    CHECK(in_path("../admin") == expected("..%2Fadmin"));
    CHECK(in_path("..\\admin") == expected("..%5Cadmin"));
    CHECK(in_path("%2e%2e") == expected("%252e%252e"));
    CHECK(in_path("a/b?x#y") == expected("a%2Fb%3Fx%23y"));
    CHECK(in_path("@evil.com") == expected("%40evil.com"));
    CHECK(in_path("http://evil") == expected("http%3A%2F%2Fevil"));
    CHECK(in_path(" HTTP/1.1\r\nx: y\r\n\r\n") ==
          expected("%20HTTP%2F1.1%0D%0Ax%3A%20y%0D%0A%0D%0A"));
    CHECK(in_path(std::string("\0\x7f\xff", 3)) == expected("%00%7F%FF"));
    CHECK(in_path("ö&=+{}") == expected("%C3%B6%26%3D%2B%7B%7D"));
    CHECK(in_path("...") == expected("..."));
}

TEST_CASE("A secret in a URL is sent, and *** is shown in its place") {
    const auto both = [](const std::string& url, const std::string& masked, const outbox& values) {
        auto sink = http("h", url);
        std::get<config::http_sink>(sink.kind).shown_url = masked;
        const auto plan = outbox_plan({std::move(sink)}, {outbox_route({0})});
        const auto from = values.row();
        record out;
        build_well(*plan, from, 0, out);
        return std::string{out.address()} + " " + std::string{out.destination};
    };
    CHECK(both("http://h/x/abc", "http://h/x/***", {}) == "/x/abc /x/***");
    CHECK(both("http://h/abc/{topic}?k=abc", "http://h/***/{topic}?k=***", {.topic = "a/b"}) ==
          "/abc/a%2Fb?k=abc /***/a%2Fb?k=***");
    CHECK(both("http://h?abc", "http://h?***", {}) == "/?abc /?***");
    // A secret that began the query: what a row may hold is still decided by what is sent.
    CHECK(both("http://h/p?u=/{topic}", "http://h/p***/{topic}", {.topic = ".."}) ==
          "/p?u=/.. /p***/..");
    // Secrets that hold braces, or the name of a column.
    CHECK(both("http://h/{topic}/x", "http://h/{***}/x", {.topic = "a"}) == "/a/x /***/x");
    CHECK(both("http://h/{topic}/x", "http://h/***topic}/x", {.topic = "a"}) == "/a/x /***");
    CHECK(both("http://h/{topic}{topic}", "http://h/***", {.topic = "a"}) == "/aa /***");
}

TEST_CASE("Targets with different secrets are different, though the same is shown of them") {
    const auto target = [](const std::string& secret) {
        auto sink = http("h", "http://h/" + secret);
        std::get<config::http_sink>(sink.kind).shown_url = "http://h/***";
        const auto plan = outbox_plan({std::move(sink)}, {outbox_route({0})});
        std::vector<placement> placements;
        const auto from = outbox{}.row();
        static_cast<void>(plan->decide(from.view(), placements));
        REQUIRE(placements.size() == 1);
        return placements[0].target_hash;
    };
    CHECK(target("a") != target("b"));
    CHECK(target("a") == target("a"));
}

TEST_CASE("C14: A row can't make a segment that servers take out of a path") {
    const auto refused = [](const std::string& column) {
        return "make event walrelay.outbox: url: column \"" + column +
               "\" makes a path segment that is empty, \".\" or \"..\"";
    };
    for (const char* bad : {"", ".", ".."}) {
        INFO("'" << bad << "'");
        CHECK(path_fault("http://h/{topic}", {.topic = bad}) == refused("topic"));
        CHECK(path_fault("http://h/a/{topic}/b", {.topic = bad}) == refused("topic"));
        CHECK(path_fault("http://h/a/{topic}?x", {.topic = bad}) == refused("topic"));
    }
    CHECK(path_fault("http://h/{topic}{key}", {.topic = ".", .key = "."}) == refused("key"));
    CHECK(path_fault("http://h/{topic}{key}", {.topic = "", .key = ""}) == refused("key"));
    CHECK(path_fault("http://h/.{topic}", {.topic = "."}) == refused("topic"));
    CHECK(path_fault("http://h/.{topic}", {.topic = ""}) == refused("topic"));
    CHECK(path_fault("http://h/%2E{topic}/x", {.topic = "."}) == refused("topic"));
    CHECK(path_fault("http://h/{topic}%2e", {.topic = ""}) == refused("topic"));
    CHECK(path("http://h/a{topic}/b", {.topic = ""}) == "/a/b");
    CHECK(path("http://h/a?x={topic}&y={key}", {.topic = "", .key = ".."}) == "/a?x=&y=..");
}

TEST_CASE("A NULL in a URL is refused, in the path and in the query") {
    CHECK(path_fault("http://h/{key}", {.key = std::nullopt}) ==
          "make event walrelay.outbox: url: column \"key\" is NULL");
    CHECK(path_fault("http://h/a?x={key}", {.key = std::nullopt}) ==
          "make event walrelay.outbox: url: column \"key\" is NULL");
}

TEST_CASE(
    "C14: A URL whose host a row could choose, or that can't be sent, is refused with the map") {
    const auto refused = [](const std::string& url) {
        return map_fault({http("h", url)}, {outbox_route({0})});
    };
    const std::string fixed =
        "read sink map.yaml:6:3: url: only path and query may hold {column}; scheme, host and port "
        "are fixed";
    CHECK(refused("http://{topic}/x") == fixed);
    CHECK(refused("http://h:{topic}/x") == fixed);
    CHECK(refused("http://h{topic}") == fixed);
    CHECK(refused("{topic}://h/x") == fixed);
    CHECK(refused("http://u:p{topic}@h/x") == fixed);
    CHECK(refused("h/x") == "read sink map.yaml:6:3: url: a URL starts with http:// or https://");
    CHECK(refused("http://h/x#y") ==
          "read sink map.yaml:6:3: url: a fragment (#…) is never sent to a server");
    CHECK(refused("http://h#y") ==
          "read sink map.yaml:6:3: url: a fragment (#…) is never sent to a server");
    for (const char* bad : {"http://h/a b", "http://h/a\r\nb", "http://h/ö", "http://h/\x7f"}) {
        CHECK(refused(bad) ==
              "read sink map.yaml:6:3: url: blanks, control characters and bytes outside ASCII "
              "must be "
              "percent-encoded");
    }
}
