#include <limits>

#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

relation_ptr mail(std::uint32_t body_type) {
    return table("shop", "mail_outbox",
                 {{"mail_id", oid::bigint},
                  {"customer_id", oid::bigint},
                  {"template", oid::text},
                  {"body", body_type},
                  {"meta", oid::json}});
}

plan_ptr mail_plan(const mapped& shape, std::uint32_t body_type = oid::jsonb) {
    return plan(model({console()}, {mapped_route("shop", "mail_outbox", {0}, shape)}),
                mail(body_type));
}

const mapped whole{.id = "m-{mail_id}",
                   .key = "{customer_id}",
                   .type = "mail.{template}",
                   .payload = "body",
                   .headers = "meta"};

}  // namespace

TEST_CASE("The columns of any table become an event as the shape says") {
    const auto plan = mail_plan(whole);
    const row from{"9", "17", "welcome", "{\"a\": 1}", "{\"x\": \"y\"}"};
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.id == "m-9");
    CHECK(out.key == "17");
    CHECK(out.type == "mail.welcome");
    CHECK(out.body == "{\"a\": 1}");
    CHECK(out.destination.empty());
    REQUIRE(out.headers.size() == 1);
    CHECK(out.headers[0].name == "x");
    CHECK(out.headers[0].value == "y");
    CHECK(out.table == "shop.mail_outbox");
    CHECK(plan->id_of(from.view(), position()) == "m-9");
}

TEST_CASE("An event without an id of its own is named by commit, time and ordinal") {
    const auto plan = mail_plan(mapped{.payload = "body"});
    const row from{"9", "17", "welcome", "{}", std::nullopt};
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.id == "00000016B374D848-1729324800000001-1");
    CHECK_FALSE(out.key);
    CHECK_FALSE(out.type);
    CHECK(plan->id_of(from.view(), position()) == out.id);

    row_position edge{lsn{~std::uint64_t{0}}, std::numeric_limits<std::int64_t>::min(), 0,
                      ~std::uint32_t{0}};
    REQUIRE(plan->build(from.view(), 0, 0, edge, 1, out).has_value());
    CHECK(out.id == "FFFFFFFFFFFFFFFF--9223372036854775808-4294967295");
}

TEST_CASE("The content type follows the type of the payload column") {
    const auto content = [](std::uint32_t type, const std::string& value) {
        const auto plan = mail_plan(mapped{.payload = "body"}, type);
        const row from{"9", "17", "welcome", value, std::nullopt};
        record out;
        build_well(*plan, from, 0, out);
        return std::string{out.content_type} + "|" + std::string{*out.body} + "|" +
               (out.body_in_frame ? "frame" : "scratch");
    };
    CHECK(content(oid::jsonb, "{}") == "application/json|{}|frame");
    CHECK(content(oid::json, "{ }") == "application/json|{ }|frame");
    CHECK(content(oid::bytea, "\\x4142") == "application/octet-stream|AB|scratch");
    CHECK(content(oid::text, "\\x4142") == "text/plain|\\x4142|frame");
    CHECK(content(oid::bigint, "12") == "text/plain|12|frame");
    CHECK(content(oid::text, "") == "text/plain||frame");
}

TEST_CASE("A NULL payload column is no body") {
    for (const auto type : {oid::jsonb, oid::bytea, oid::text}) {
        const auto plan = mail_plan(mapped{.payload = "body"}, type);
        const row from{"9", "17", "welcome", std::nullopt, std::nullopt};
        record out;
        out.body = "left over";
        out.body_in_frame = true;
        out.content_type = "left/over";
        build_well(*plan, from, 0, out);
        CHECK_FALSE(out.body);
        CHECK_FALSE(out.body_in_frame);
        CHECK(out.content_type.empty());
    }
}

TEST_CASE("NULL in a type template is no type, in an id template a refused row") {
    const auto plan = mail_plan(whole);
    const row no_type{"9", "17", std::nullopt, "{}", std::nullopt};
    record out;
    build_well(*plan, no_type, 0, out);
    CHECK_FALSE(out.type);
    const row no_id{std::nullopt, "17", "welcome", "{}", std::nullopt};
    CHECK(fault(*plan, no_id) == "make event shop.mail_outbox: id: column \"mail_id\" is NULL");
    CHECK(plan->id_of(no_id.view(), position()) == "00000016B374D848-1729324800000001-1");
}

TEST_CASE("Templates without columns and empty templates are constant text") {
    const auto plan =
        mail_plan(mapped{.id = "{{9}}", .key = "", .type = "mail", .payload = "body"});
    const row from{"9", "17", "welcome", "{}", std::nullopt};
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.id == "{9}");
    CHECK(out.key == "");
    CHECK(out.type == "mail");
}

TEST_CASE("Line ends, NUL and bytes outside ASCII in a row reach the record unchanged") {
    const std::string hostile{"a\r\nx-evil: 1\0\xff/..%2e", 21};
    const auto plan = mail_plan(
        {.id = "{template}", .key = "k{template}", .type = "{template}", .payload = "body"},
        oid::text);
    const row from{"9", "17", hostile, hostile, std::nullopt};
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.id == hostile);
    CHECK(out.key == "k" + hostile);
    CHECK(out.type == hostile);
    CHECK(out.body == hostile);
}

TEST_CASE("A column in the middle of 1600 is found") {
    std::vector<std::pair<std::string, std::uint32_t>> columns;
    row from;
    for (int i = 0; i < 1600; ++i) {
        columns.emplace_back("c" + std::to_string(i), oid::text);
        from.text("v" + std::to_string(i));
    }
    const auto plan = sample::plan(
        model({console()},
              {mapped_route("w", "wide", {0},
                            mapped{.id = "{c1599}-{c0}", .key = "{c800}", .payload = "c3"})}),
        table("w", "wide", columns));
    record out;
    build_well(*plan, from, 0, out);
    CHECK(out.id == "v1599-v0");
    CHECK(out.key == "v800");
    CHECK(out.body == "v3");
}

TEST_CASE("A record that puts much together keeps every part of it") {
    auto route = mapped_route("s", "t", {0}, mapped{.key = "k{a}", .type = "t{a}", .payload = "b"});
    const auto plan = sample::plan(model({http("h", "http://h/p")}, {route}),
                                   table("s", "t", {{"a", oid::text}, {"b", oid::bytea}}));
    for (const std::size_t size : {60, 80, 100, 300, 3000}) {
        const std::string value(size, 'v');
        const row from{value, "\\x" + std::string(2 * size, '4')};
        record out;
        build_well(*plan, from, 0, out);
        CHECK(out.id == "00000016B374D848-1729324800000001-1");
        CHECK(out.key == "k" + value);
        CHECK(out.type == "t" + value);
        CHECK(out.destination == "/p");
        CHECK(out.body == std::string(size, 'D'));
    }
}

TEST_CASE("A record may be moved before it is sent") {
    const auto plan = sample::plan(
        model({console()}, {mapped_route("s", "t", {0}, mapped{.id = "i{a}", .payload = "a"})}),
        table("s", "t", {{"a", oid::text}}));
    const row from{"1"};
    record built;
    build_well(*plan, from, 0, built);
    const record moved = std::move(built);
    built = {};
    CHECK(moved.id == "i1");
}
