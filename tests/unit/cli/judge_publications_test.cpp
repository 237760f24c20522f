#include "judged.hpp"
#include "support/catch.hpp"

namespace walrelay::cli {

namespace {

finding only_complaint(const facts& found, const config::model& model = one_route_map()) {
    const auto all = complaints(found, model);
    REQUIRE(all.size() == 1);
    return all[0];
}

/// A second route, from a table of the application's own.
config::model mapped_map() {
    auto model = one_route_map();
    config::route route;
    route.from_schema = "shop";
    route.from_table = "mail";
    route.to = {0};
    config::mapped_shape shape;
    shape.id = "{mail_id}";
    shape.payload = "body";
    route.shape = shape;
    model.routes.push_back(route);
    return model;
}

facts with_mail(const std::vector<std::string>& columns,
                const std::vector<std::string>& published) {
    auto found = healthy_facts();
    found.tables.push_back({"shop", "mail", true, false, true, columns_named(columns), {}});
    found.publications.tables.push_back({"p", "shop", "mail", false, published});
    return found;
}

TEST_CASE("A missing publication stops") {
    auto found = healthy_facts();
    found.publications = {};
    const auto all = complaints(found);
    REQUIRE(all.size() == 2);  // and so the table is in none
    CHECK(all[0].subject == "publication p");
    CHECK(all[0].level == severity::stops);
    CHECK(mends_with(all[0], "walrelay sql -c relay.yaml --apply"));
}

TEST_CASE("A publication without inserts stops, one with more warns") {
    auto found = healthy_facts();
    found.publications.found[0].publishes_insert = false;
    CHECK(only_complaint(found).level == severity::stops);
    found = healthy_facts();
    found.publications.found[0].publishes_update = true;
    found.publications.found[0].publishes_delete = true;
    const auto one = only_complaint(found);
    CHECK(one.level == severity::warns);
    CHECK(says(one, "UPDATE, DELETE"));
    CHECK(mends_with(one, "alter publication \"p\" set (publish = 'insert');"));
}

TEST_CASE("Partitions under their own names stop where a routed table is partitioned") {
    auto found = healthy_facts();
    found.publications.found[0].via_partition_root = false;
    // The server lists the partitions then, which are not complained about one by one.
    found.publications.tables = {{"p", "walrelay", "outbox_00", false, {}},
                                 {"p", "walrelay", "outbox_01", false, {}},
                                 {"p", "walrelay", "redrive", false, {}}};
    CHECK(only_complaint(found).level == severity::stops);
    found.publications.tables = healthy_facts().publications.tables;
    found.tables[0].partitioned = false;
    CHECK(only_complaint(found).level == severity::warns);
}

TEST_CASE("A captured table without a route stops, with both mends") {
    auto found = healthy_facts();
    found.publications.tables.push_back({"p", "shop", "Au\"dit", false, {}});
    const auto one = only_complaint(found);
    CHECK(one.level == severity::stops);
    CHECK(one.subject == "table shop.Au\"dit");
    CHECK(mends_with(one, "to: none"));
    CHECK(mends_with(one, R"(alter publication "p" drop table "shop"."Au""dit";)"));
}

TEST_CASE("Hundreds of captured tables without a route are summed up") {
    auto found = healthy_facts();
    found.publications.found[0].all_tables = true;
    for (int i = 0; i < 300; ++i) {
        found.publications.tables.push_back({"p", "shop", "t" + std::to_string(i), false, {}});
    }
    const auto all = complaints(found);
    REQUIRE(all.size() == 12);
    CHECK(says(all[0], "FOR ALL TABLES"));
    CHECK(says(all.back(), "290 more"));
    CHECK_FALSE(mends_with(all[1], "drop table"));
}

TEST_CASE("A routed table that is in no publication stops") {
    auto found = healthy_facts();
    found.publications.tables.erase(found.publications.tables.begin());
    const auto one = only_complaint(found);
    CHECK(one.level == severity::stops);
    CHECK(mends_with(one, R"(alter publication "p" add table "walrelay"."outbox";)"));
}

TEST_CASE("A publication without the marks of operators warns with the statement that adds them") {
    auto found = healthy_facts();
    found.publications.tables.pop_back();
    const auto one = only_complaint(found);
    CHECK(one.level == severity::warns);
    CHECK(one.subject == "table walrelay.redrive");
    CHECK(mends_with(one, R"(alter publication "p" add table walrelay.redrive;)"));
    // An older schema has no such table yet: installing comes first.
    found.missing_objects = {"table walrelay.redrive"};
    CHECK(says(only_complaint(found), "older version"));
}

TEST_CASE("A publication of what is set aside stops: each write of the relay would come back") {
    auto found = healthy_facts();
    found.publications.tables.push_back({"p", "walrelay", "parked", false, {}});
    const auto one = only_complaint(found);
    CHECK(one.level == severity::stops);
    CHECK(one.subject == "table walrelay.parked");
    CHECK(mends_with(one, R"(alter publication "p" drop table "walrelay"."parked";)"));
}

TEST_CASE("A routed table that is missing or can't be published stops") {
    auto found = healthy_facts();
    found.tables[0] = {"walrelay", "outbox", false, false, true, {}, {}};
    CHECK(says(only_complaint(found), "does not exist"));
    found = healthy_facts();
    found.tables[0].ordinary = false;
    CHECK(says(only_complaint(found), "can't be published"));
}

TEST_CASE("A column that a route uses and the table lacks is named") {
    CHECK(complaints(with_mail({"mail_id", "body"}, {"mail_id", "body"}), mapped_map()).empty());
    const auto one = only_complaint(with_mail({"id", "body"}, {"id", "body"}), mapped_map());
    CHECK(one.level == severity::stops);
    CHECK(says(one, "mail_id"));
}

TEST_CASE("A column list that leaves out what a route uses stops, a row filter warns") {
    auto one = only_complaint(with_mail({"mail_id", "body"}, {"mail_id"}), mapped_map());
    CHECK(one.level == severity::stops);
    CHECK(says(one, "column list"));
    CHECK(says(one, "body"));

    auto filtered = with_mail({"mail_id", "body"}, {"mail_id", "body"});
    filtered.publications.tables.back().has_row_filter = true;
    one = only_complaint(filtered, mapped_map());
    CHECK(one.level == severity::warns);
    CHECK(says(one, "row filter"));
}

TEST_CASE("A generated column that a route uses stops where it is not sent") {
    auto found = with_mail({"mail_id", "body"}, {"mail_id", "body"});
    found.tables.back().generated = {"body"};
    for (const int version : {140'011, 170'006}) {
        found.settings.version = version;
        const auto one = only_complaint(found, mapped_map());
        CHECK(one.level == severity::stops);
        CHECK(says(one, "generated"));
        CHECK(says(one, "body"));
    }
    found.settings.version = 180'001;
    CHECK(complaints(found, mapped_map()).empty());
    found.publications.tables.back().columns = {"mail_id"};
    const auto one = only_complaint(found, mapped_map());
    CHECK(mends_with(one, "publish_generated_columns = stored"));
}

TEST_CASE("On PostgreSQL 14 a partitioned table of one's own warns about ATTACH, with the mend") {
    auto found = with_mail({"mail_id", "body"}, {"mail_id", "body"});
    found.tables.back().partitioned = true;
    CHECK(complaints(found, mapped_map()).empty());
    found.settings.version = 140'011;
    const auto one = only_complaint(found, mapped_map());
    CHECK(one.level == severity::warns);
    CHECK(one.subject == "table shop.mail");
    CHECK(mends_with(one, "alter publication \"p\" set (publish = 'insert');"));
}

TEST_CASE("A row filter together with updates stops: the application's updates would fail") {
    auto found = with_mail({"mail_id", "body"}, {"mail_id", "body"});
    found.publications.tables.back().has_row_filter = true;
    found.publications.found[0].publishes_update = true;
    const auto all = complaints(found, mapped_map());
    REQUIRE(all.size() == 2);  // and the publication's own warning
    CHECK(all[1].level == severity::stops);
    CHECK(says(all[1], "each UPDATE and DELETE of the application fails"));
    CHECK(mends_with(all[1], "alter publication \"p\" set (publish = 'insert');"));
}

TEST_CASE("A table of the relay's own in the publication stops, and no route is proposed") {
    auto found = healthy_facts();
    found.publications.tables.push_back({"p", "walrelay", "progress", false, {}});
    const auto one = only_complaint(found);
    CHECK(one.level == severity::stops);
    CHECK(says(one, "belongs to the relay"));
    CHECK_FALSE(mends_with(one, "to: none"));
    CHECK(mends_with(one, R"(alter publication "p" drop table "walrelay"."progress";)"));
}

TEST_CASE("A column that can't hold a JSON object warns where it is used as headers") {
    auto model = mapped_map();
    std::get<config::mapped_shape>(model.routes[1].shape).headers = "meta";
    auto found = with_mail({"mail_id", "body", "meta"}, {"mail_id", "body", "meta"});
    CHECK(complaints(found, model).empty());
    found.tables.back().columns.back().type_oid = 23;
    const auto one = only_complaint(found, model);
    CHECK(one.level == severity::warns);
    CHECK(says(one, "column meta is used as headers"));
}

TEST_CASE("A route of messages needs neither table nor publication of its own") {
    auto model = one_route_map();
    config::route messages;
    messages.from_message = "orders";
    messages.to = {0};
    model.routes.push_back(messages);
    CHECK(complaints(healthy_facts(), model).empty());
}

}  // namespace

}  // namespace walrelay::cli
