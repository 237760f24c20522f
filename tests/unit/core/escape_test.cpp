#include "walrelay/core/escape.hpp"

#include <string>

#include "support/catch.hpp"

namespace walrelay {

namespace {

std::string json(std::string_view text) {
    std::string out;
    append_json_escaped(out, text);
    return out;
}

const std::string replacement = "\xEF\xBF\xBD";  // U+FFFD

struct utf8_case {
    std::string bytes;
    bool well_formed;
};

}  // namespace

TEST_CASE("well-formed UTF-8 is told from what only looks like it") {
    const auto one = GENERATE(values<utf8_case>({
        {"", true},
        {"plain", true},
        {std::string("nul\0", 4), true},
        {"\x7F", true},
        {"\xC2\x80", true},           // U+0080
        {"\xDF\xBF", true},           // U+07FF
        {"\xE0\xA0\x80", true},       // U+0800
        {"\xED\x9F\xBF", true},       // U+D7FF
        {"\xEE\x80\x80", true},       // U+E000
        {"\xEF\xBF\xBF", true},       // U+FFFF
        {"\xF0\x90\x80\x80", true},   // U+10000
        {"\xF4\x8F\xBF\xBF", true},   // U+10FFFF
        {"\x80", false},              // continuation without a lead
        {"\xC0\x80", false},          // NUL in two bytes
        {"\xC1\xBF", false},          // overlong
        {"\xE0\x9F\xBF", false},      // overlong
        {"\xF0\x8F\xBF\xBF", false},  // overlong
        {"\xED\xA0\x80", false},      // U+D800, a surrogate
        {"\xED\xBF\xBF", false},      // U+DFFF
        {"\xF4\x90\x80\x80", false},  // U+110000
        {"\xF5\x80\x80\x80", false},  // no such lead
        {"\xFE", false},
        {"\xFF", false},
        {"\xC3", false},  // cut off
        {"\xE2\x82", false},
        {"\xF0\x9F\x98", false},
        {"a\xC3(", false},  // lead without continuation
        {"\xE2\x82(", false},
        {"\xF0\x9F\x98(", false},
    }));
    CAPTURE(json(one.bytes));
    CHECK(is_utf8(one.bytes) == one.well_formed);
    CHECK((json(one.bytes).find(replacement) == std::string::npos) == one.well_formed);
    CHECK(is_utf8(json(one.bytes)));
    CHECK(is_utf8(printable(one.bytes)));
}

TEST_CASE("text becomes the inside of a JSON string") {
    CHECK(json("") == "");
    CHECK(json("a/b 'c'") == "a/b 'c'");
    CHECK(json("say \"x\\y\"") == R"(say \"x\\y\")");
    CHECK(json("1\n2\t3\r") == R"(1\n2\u00093\u000d)");
    CHECK(json(std::string("\0\x1F", 2)) == R"(\u0000\u001f)");
    CHECK(json("Z\xC3\xBCrich \xF0\x9F\x98\x80") == "Z\xC3\xBCrich \xF0\x9F\x98\x80");
}

TEST_CASE("each broken byte becomes one replacement character and the text goes on behind it") {
    CHECK(json("a\xFF"
               "b") == "a" + replacement + "b");
    CHECK(json("\xE2\x82"
               "x") == replacement + replacement + "x");
    CHECK(json("\xED\xA0\x80") == replacement + replacement + replacement);
}

TEST_CASE("what is escaped is added to what was there") {
    std::string out = "{\"a\":\"";
    append_json_escaped(out, "\"");
    CHECK(out == "{\"a\":\"\\\"");
}

TEST_CASE("no row can forge a log line or move the cursor of a terminal") {
    CHECK(printable("one\ntwo\r\x1B[2J") == "one\\x0atwo\\x0d\\x1b[2J");
    CHECK(printable(std::string("\0\x7F", 2)) == "\\x00\\x7f");
    CHECK(printable("a\xFF\xC3") == "a\\xff\\xc3");
    CHECK(printable("Z\xC3\xBCrich") == "Z\xC3\xBCrich");
}

TEST_CASE("the control characters of ISO 8859 are escaped too: a terminal may obey them") {
    CHECK(printable("\xC2\x9B"
                    "2J") == "\\xc2\\x9b2J");  // U+009B does what ESC [ does
    CHECK(printable("\xC2\x80\xC2\x9F") == "\\xc2\\x80\\xc2\\x9f");
    CHECK(printable("\xC2\xA0") == "\xC2\xA0");  // U+00A0 is no control character
}

TEST_CASE("what ends a line elsewhere, or turns the direction of a line, is escaped too") {
    CHECK(printable("a\xE2\x80\xA8z") == "a\\xe2\\x80\\xa8z");  // U+2028, a line separator
    CHECK(printable("\xE2\x80\xA9") == "\\xe2\\x80\\xa9");
    CHECK(printable("\xE2\x80\xAE") == "\\xe2\\x80\\xae");  // U+202E shows "gpj.exe" as "exe.jpg"
    CHECK(printable("\xE2\x81\xA6\xE2\x81\xA9") == "\\xe2\\x81\\xa6\\xe2\\x81\\xa9");
    for (const std::string harmless : {"\xE2\x80\xA6", "\xE2\x80\xAF", "\xE2\x81\xA5"})
        CHECK(printable(harmless) == harmless);
}

TEST_CASE("long text is cut and says how much is missing") {
    CHECK(printable("abcdef", 6) == "abcdef");
    CHECK(printable("abcdef", 4) == "abcd\xE2\x80\xA6 (2 bytes more)");
    CHECK(printable("abcdef", 0) == "\xE2\x80\xA6 (6 bytes more)");
    CHECK(printable("", 0) == "");
    CHECK(printable(std::string(201, 'x')) ==
          std::string(200, 'x') + "\xE2\x80\xA6 (1 bytes more)");
}

TEST_CASE("a character is not cut in two") {
    CHECK(printable("a\xF0\x9F\x98\x80"
                    "b",
                    2) == "a\xF0\x9F\x98\x80\xE2\x80\xA6 (1 bytes more)");
}

TEST_CASE("identifiers and literals are quoted for SQL") {
    CHECK(quote_identifier("Pub") == "\"Pub\"");
    CHECK(quote_identifier("we\"ird,P'ub") == "\"we\"\"ird,P'ub\"");
    CHECK(quote_identifier("") == "\"\"");
    CHECK(quote_literal("it's") == "'it''s'");
    CHECK(quote_literal("a\\b\"c") == "'a\\b\"c'");
    CHECK(quote_literal("") == "''");
    CHECK(quote_literal("''") == "''''''");
}

}  // namespace walrelay
