#include "walrelay/core/template_syntax.hpp"

#include <chrono>
#include <string>

#include "support/catch.hpp"

namespace walrelay {

namespace {

using parts = std::vector<template_part>;

std::string cause(std::string_view text) {
    const auto result = parse_template(text);
    REQUIRE_FALSE(result.has_value());
    return result.error().cause;
}

}  // namespace

TEST_CASE("A template is literals and columns in their order") {
    CHECK(parse_template("").value().empty());
    CHECK(parse_template("orders").value() == parts{{false, "orders"}});
    CHECK(parse_template("{id}").value() == parts{{true, "id"}});
    CHECK(parse_template("a/{id}{key}.b").value() ==
          parts{{false, "a/"}, {true, "id"}, {true, "key"}, {false, ".b"}});
    CHECK(parse_template("{Name with blanks, ü}").value() == parts{{true, "Name with blanks, ü"}});
}

TEST_CASE("Doubled braces are one brace each, also beside a column") {
    CHECK(parse_template("{{}}").value() == parts{{false, "{}"}});
    CHECK(parse_template("{{id}}").value() == parts{{false, "{id}"}});
    CHECK(parse_template("{{{id}}}").value() == parts{{false, "{"}, {true, "id"}, {false, "}"}});
    CHECK(parse_template("a{{b").value() == parts{{false, "a{b"}});
}

TEST_CASE("A broken template tells the byte offset and never its text") {
    CHECK(cause("ab{c") ==
          "at byte offset 2: '{' is not closed; write {column}, or {{ for a brace");
    CHECK(cause("{") == "at byte offset 0: '{' is not closed; write {column}, or {{ for a brace");
    CHECK(cause("{a{b}}") ==
          "at byte offset 0: '{' is not closed; write {column}, or {{ for a brace");
    CHECK(cause("ab}") == "at byte offset 2: '}' closes nothing; write }} for a brace");
    CHECK(cause("{a}}") == "at byte offset 3: '}' closes nothing; write }} for a brace");
    CHECK(cause("{}") == "at byte offset 0: {} names no column; write {{ for a brace");
    CHECK(cause("{a\nb}") == "at byte offset 0: a column name has no control characters");
    CHECK(cause("{" + std::string(64, 'x') + "}") ==
          "at byte offset 0: a column name has at most 63 bytes");
    CHECK(parse_template("{" + std::string(63, 'x') + "}").has_value());
}

TEST_CASE("A glob matches runs, single characters and itself, with case") {
    CHECK(glob_matches("", ""));
    CHECK_FALSE(glob_matches("", "a"));
    CHECK(glob_matches("*", ""));
    CHECK(glob_matches("*", "anything"));
    CHECK(glob_matches("billing.*", "billing."));
    CHECK(glob_matches("billing.*", "billing.paid"));
    CHECK_FALSE(glob_matches("billing.*", "billing"));
    CHECK_FALSE(glob_matches("billing.*", "Billing.paid"));
    CHECK(glob_matches("*.paid", "a.paid.paid"));
    CHECK_FALSE(glob_matches("*.paid", "a.paid.x"));
    CHECK(glob_matches("a*b*c", "aXbXbXc"));
    CHECK_FALSE(glob_matches("a*b*c", "aXbXbX"));
    CHECK(glob_matches("**a**", "bab"));
    CHECK(glob_matches("a?c", "abc"));
    CHECK_FALSE(glob_matches("a?c", "ac"));
    CHECK_FALSE(glob_matches("?", ""));
    CHECK(glob_matches("[a]", "[a]"));
    CHECK_FALSE(glob_matches("[a]", "a"));
}

TEST_CASE("A question mark takes one UTF-8 character, or one byte that belongs to none") {
    CHECK(glob_matches("a?c", "aüc"));
    CHECK(glob_matches("?", "€"));
    CHECK(glob_matches("?", "😀"));
    CHECK_FALSE(glob_matches("??", "😀"));
    CHECK(glob_matches("*?", "a😀"));
    CHECK_FALSE(glob_matches("*??", "😀"));
    CHECK(glob_matches("?", "\xFF"));
    CHECK(glob_matches("??", "\xE2\x82"));
}

TEST_CASE("A glob with many stars takes no exponential time") {
    std::string glob;
    for (int i = 0; i < 40; ++i)
        glob += "*a";
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(glob_matches(glob + "b", std::string(20'000, 'a')));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{20});
}

}  // namespace walrelay
