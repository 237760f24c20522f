#include <array>
#include <nlohmann/json.hpp>
#include <random>

#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

/// Builds a row with these headers and keeps it alive.
struct built {
    explicit built(std::string headers) : from{outbox{.headers = std::move(headers)}.row()} {
        build_well(*plan, from, 0, out);
    }

    /// "name=value;", null as "name;".
    std::string text() const {
        std::string all;
        for (const header_view& h : out.headers) {
            all += h.name;
            if (h.value) all.append("=").append(*h.value);
            all += ';';
        }
        return all;
    }

    plan_ptr plan = outbox_plan({console()}, {outbox_route({0})});
    row from;
    record out;
};

std::string headers_fault(std::string headers) {
    return fault(*outbox_plan({console()}, {outbox_route({0})}),
                 outbox{.headers = std::move(headers)}.row());
}

const std::string not_an_object =
    "make event walrelay.outbox: headers: the column does not hold a JSON object";

}  // namespace

TEST_CASE("Header values are strings by value and anything else as its JSON text") {
    CHECK(
        built{
            R"({"a": "x", "b": 1.10, "c": true, "d": null, "e": {"f": [1, "}"]}, "g": ["]", {}]})"}
            .text() == R"(a=x;b=1.10;c=true;d;e={"f": [1, "}"]};g=["]", {}];)");
    CHECK(built{R"({"n":12345678901234567890123,"m":-0,"o":1E5})"}.text() ==
          "n=12345678901234567890123;m=-0;o=1E5;");
    CHECK(built{R"({"huge":1e400,"list":[-1E+400]})"}.text() == "huge=1e400;list=[-1E+400];");
    CHECK(built{"{}"}.text().empty());
    CHECK(built{" {\n} "}.text().empty());
    CHECK(built{"\t{ \"a\" :\n\"b\" , \"\" : \"\" }\r\n"}.text() == "a=b;=;");
}

TEST_CASE("Escapes in header names and values are resolved") {
    CHECK(built{R"({"a\"b": "c\\d\/\t", "traceparent": "00-\u00e9\ud83d\ude00"})"}.text() ==
          "a\"b=c\\d/\t;traceparent=00-\xC3\xA9\xF0\x9F\x98\x80;");
    CHECK(built{R"({"a": "\\", "b": "\""})"}.text() == "a=\\;b=\";");
}

TEST_CASE("Line ends and NUL in a header reach the record as they are and nothing is cut") {
    const built b{R"({"x\r\ny": "v\r\nevil: 1\u0000z"})"};
    REQUIRE(b.out.headers.size() == 1);
    CHECK(b.out.headers[0].name == "x\r\ny");
    CHECK(*b.out.headers[0].value == std::string_view("v\r\nevil: 1\0z", 12));
}

TEST_CASE("A content type among the headers, in any case, takes the place of the payload's") {
    const built b{R"({"a": "1", "Content-TYPE": "application/vnd.x+json", "b": "2"})"};
    CHECK(b.out.content_type == "application/vnd.x+json");
    CHECK(b.text() == "a=1;b=2;");
    CHECK(built{R"({"content-type": null})"}.out.content_type == "application/json");
    CHECK(built{R"({"content-type": null})"}.text().empty());
    CHECK(built{R"({"content-types": "x"})"}.out.content_type == "application/json");
}

TEST_CASE("Headers that are not a JSON object are refused") {
    for (const char* bad :
         {"", " ", "null", "1", "\"x\"", "[]", "[{\"a\": 1}]", "{", "{\"a\"}", "{\"a\": 1,}",
          "{\"a\": 1} x", "{\"a\": 1}}", "{a: 1}", "{\"a\": \"\xff\"}", "{\"a\": \"\\ud800\"}",
          "\xEF\xBB\xBF{\"a\": 1}", "{\"a\": \"b\nc\"}", "{} {}"}) {
        INFO(bad);
        CHECK(headers_fault(bad) == not_an_object);
    }
    CHECK(headers_fault(std::string("{\"a\": 1}\0{}", 11)) == not_an_object);
    CHECK(headers_fault(std::string("{\"a\": 1\0}", 9)) == not_an_object);
    CHECK(headers_fault(std::string(100'000, '[')) == not_an_object);
    CHECK(headers_fault("{\"a\": " + std::string(100'000, '[')) == not_an_object);
}

TEST_CASE("NULL headers are none") {
    const auto plan = outbox_plan({console()}, {outbox_route({0})});
    const auto from = outbox{}.row();
    record out;
    out.headers.resize(3);
    build_well(*plan, from, 0, out);
    CHECK(out.headers.empty());
}

TEST_CASE("64 headers are taken and 65 refused") {
    const auto members = [](int count) {
        std::string text = "{";
        for (int i = 0; i < count; ++i) {
            text += (i == 0 ? "\"h" : ", \"h") + std::to_string(i) + "\": \"\\u0041\"";
        }
        return text + "}";
    };
    const built full{members(64)};
    CHECK(full.out.headers.size() == 64);
    for (const header_view& h : full.out.headers)
        CHECK(h.value == "A");
    CHECK(headers_fault(members(65)) ==
          "make event walrelay.outbox: headers: more than 64 members");
}

TEST_CASE("16 KiB of headers are taken and one byte more refused") {
    const auto sized = [](std::size_t bytes) {
        return R"({"ab": ")" + std::string(bytes - 6, 'x') + R"(", "cd": 12})";
    };
    CHECK(built{sized(16 * 1024)}.out.headers.size() == 2);
    CHECK(headers_fault(sized(16 * 1024 + 1)) ==
          "make event walrelay.outbox: headers: more than 16384 bytes of names and values");
}

TEST_CASE("Random headers are taken apart as a JSON library does, and damaged ones are refused") {
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    const auto below = [&](std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>{0, limit - 1}(random);
    };
    const auto text = [&] {
        constexpr std::array pieces{"a", "\"", "\\", "{",  "}",    "[", "]",
                                    ",", ":",  " ",  "\n", "\x01", "é", "/"};
        std::string made;
        for (std::size_t n = below(8); n > 0; --n)
            made += pieces[below(pieces.size())];
        return made;
    };
    const auto plan = outbox_plan({console()}, {outbox_route({0})});
    record out;
    for (int round = 0; round < 3000; ++round) {
        nlohmann::ordered_json object = nlohmann::ordered_json::object();
        for (std::size_t n = below(6); n > 0; --n) {
            auto& value = object[text()];
            switch (below(5)) {
                case 0:
                    value = nullptr;
                    break;
                case 1:
                    value = below(1000);
                    break;
                case 2:
                    value = {{text(), {text(), below(9)}}};
                    break;
                default:
                    value = text();
            }
        }
        const std::string written = object.dump(below(2) == 0 ? -1 : 2, ' ', below(2) == 0);
        const auto whole = outbox{.headers = written}.row();
        INFO(written);
        build_well(*plan, whole, 0, out);
        REQUIRE(out.headers.size() == object.size());
        std::size_t i = 0;
        for (const auto& [name, value] : object.items()) {
            const header_view& header = out.headers[i++];
            CHECK(header.name == name);
            REQUIRE(header.value.has_value() == !value.is_null());
            if (value.is_string()) CHECK(*header.value == value.get<std::string>());
            if (header.value && !value.is_string()) {
                CHECK(nlohmann::ordered_json::parse(*header.value) == value);
            }
        }
        std::string damaged = written;
        damaged[below(damaged.size())] = "{}[],:\"\\ x1"[below(11)];
        if (below(3) == 0) damaged.resize(below(damaged.size()));
        const auto broken = outbox{.headers = damaged}.row();
        const auto parsed = nlohmann::ordered_json::parse(damaged, nullptr, false);
        CHECK(build(*plan, broken, 0, out).has_value() == parsed.is_object());
    }
}
