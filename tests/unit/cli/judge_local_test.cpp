#include "judge_local.hpp"

#include "judged.hpp"
#include "schema_objects.hpp"
#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

std::vector<finding> judged(const local_facts& found) {
    auto model = one_route_map();
    return judge_local(found, model, "relay.yaml");
}

TEST_CASE("A free admin port is fine, and so is one where the relay of this slot answers") {
    local_facts found;
    CHECK(judged(found)[0].level == severity::ok);
    found.bind_fault = "Address already in use";
    found.answering_slot = "s";
    CHECK(judged(found)[0].level == severity::info);
}

TEST_CASE("An admin port that somebody else has stops") {
    local_facts found;
    found.bind_fault = "Address already in use";
    auto one = judged(found)[0];
    CHECK(one.level == severity::stops);
    CHECK(says(one, "127.0.0.1:9187 can't be taken: Address already in use"));
    found.answering_slot = "other";
    one = judged(found)[0];
    CHECK(one.level == severity::stops);
    CHECK(says(one, "the relay of slot other"));
    CHECK(mends_with(one, "admin.listen"));
}

TEST_CASE("Secrets that others may read warn with the command that hides them") {
    local_facts found;
    found.open_secrets = {"admin.token"};
    found.open_keys = {"/etc/key.pem"};
    const auto all = judged(found);
    REQUIRE(all.size() == 3);
    CHECK(all[1].level == severity::warns);
    CHECK(mends_with(all[1], "chmod 600 relay.yaml"));
    CHECK(mends_with(all[2], "chmod 600 /etc/key.pem"));
}

TEST_CASE("Secrets in the file itself are found, those behind a reference are not") {
    auto model = one_route_map();
    model.source.conninfo = "host=db password=pw1";
    model.admin.token = "tok1";
    config::kafka_sink kafka;
    kafka.properties = {{"sasl.password", "pw2"}, {"linger.ms", "5"}};
    config::http_sink http;
    http.headers = {{"Authorization", "Bearer abc"}, {"x-tenant", "shop"}};
    http.signing = {"whsec_a", "whsec_b"};
    model.sinks = {{"k", kafka, {}}, {"h", http, {}}};
    CHECK(written_secrets(model,
                          "conninfo: \"host=db password=${env:PW}\" token: ${file:/t} "
                          "linger.ms: 5 x-tenant: shop")
              .empty());
    CHECK(written_secrets(model, "host=db password=pw1, tok1, pw2, Bearer abc, whsec_a whsec_b") ==
          std::vector<std::string>{"source.conninfo", "admin.token",
                                   "sinks.k.kafka.properties.sasl.password",
                                   "sinks.h.http.headers.Authorization", "sinks.h.http.signing"});
    model.source.conninfo = "postgresql://u:pw@db/shop";
    CHECK(written_secrets(model, "postgresql://u:pw@db/shop").size() == 1);
    model.source.conninfo = "postgresql://u@db:5432/shop";
    CHECK(written_secrets(model, "postgresql://u@db:5432/shop").empty());
}

TEST_CASE("The objects of the schema are read from its files") {
    const std::vector<schema_file> files{
        {"1",
         "create table if not exists walrelay.a (\n  -- create or replace function walrelay.no("
         "\n);\ncreate or replace function walrelay.f(x int)"},
        {"2",
         "create or replace function walrelay.f(y text)\ncreate or replace view walrelay.v as"}};
    CHECK(schema_objects(files) ==
          std::vector<schema_object>{{"table", "a"}, {"function", "f"}, {"view", "v"}});
    const auto own = schema_objects(schema_files());
    for (const schema_object& needed :
         {schema_object{"table", "outbox"}, schema_object{"table", "progress"},
          schema_object{"function", "rotate"}}) {
        CHECK(std::find(own.begin(), own.end(), needed) != own.end());
    }
}

}  // namespace

}  // namespace walrelay::cli
