#include <random>

#include "sample.hpp"
#include "support/catch.hpp"

using namespace walrelay;
using namespace walrelay::event;
using namespace walrelay::event::sample;

namespace {

config::model everything() {
    auto billing = outbox_route({0, 1, 2});
    billing.where.push_back({"topic", {"billing*"}});
    billing.key = "{topic}:{key}";
    billing.topic = "x.{topic}";
    return model({kafka("events"), http("hooks", "https://h/{topic}/{type}?k={key}"), console()},
                 {billing, outbox_route({1})});
}

/// All that a sink may send, in one text.
std::string bytes(const record& r) {
    std::string all;
    const auto add = [&](std::optional<std::string_view> text) {
        all += text ? "+" + std::to_string(text->size()) + ":" : "-";
        all += text.value_or("");
    };
    add(r.id);
    add(r.key);
    add(r.type);
    add(r.destination);
    add(r.body);
    add(r.content_type);
    for (const header_view& h : r.headers) {
        add(h.name);
        add(h.value);
    }
    add(r.table);
    add(to_string(r.position.commit_lsn));
    add(std::to_string(r.position.ordinal) + "," + std::to_string(r.epoch));
    return all;
}

class random_rows {
public:
    explicit random_rows(std::uint32_t seed) : random_{seed} {}

    outbox next() {
        outbox made;
        made.topic = text("billing", 30);
        made.key = maybe(text("", 400));
        made.type = text("t", 300);
        if (below(3) == 0) {
            made.payload.reset();
            made.raw = "\\x";
            for (std::size_t n = below(400); n > 0; --n)
                *made.raw += "0123456789abcdef0f"[below(16)], *made.raw += 'e';
        }
        if (below(2) == 0) {
            made.headers = "{\"\\u0061\": \"" + std::string(below(300), 'h') +
                           "\", \"b\": [1], \"c\\t\": \"\\n\"}";
        }
        return made;
    }

private:
    std::size_t below(std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>{0, limit - 1}(random_);
    }

    nullable maybe(nullable value) { return below(4) == 0 ? std::nullopt : std::move(value); }

    std::string text(std::string start, std::size_t longest) {
        for (std::size_t n = below(longest); n > 0; --n)
            start += "az.-/ \r%\xff"[below(9)];
        return start;
    }

    std::mt19937 random_;
};

}  // namespace

TEST_CASE("A row that is read again gives the same bytes, also after a restart") {
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    random_rows rows{seed};
    const auto before = sample::plan(everything(), outbox_table());
    const auto after =
        sample::plan(everything(), outbox_table());  // router, relation and plan anew
    record used;                                     // again and again, as a relay does
    std::vector<placement> first;
    std::vector<placement> second;
    for (int i = 0; i < 2000; ++i) {
        const outbox values = rows.next();
        const auto from = values.row();
        const auto again = values.row();
        const routing here = before->decide(from.view(), first);
        const routing there = after->decide(again.view(), second);
        REQUIRE(here.what == routing::verdict::routed);
        REQUIRE(there.route == here.route);
        REQUIRE(first.size() == second.size());
        for (std::size_t p = 0; p < first.size(); ++p) {
            CHECK(first[p].key_hash == second[p].key_hash);
            CHECK(first[p].keyed == second[p].keyed);
            CHECK(first[p].target_hash == second[p].target_hash);
            record fresh;
            const auto built =
                before->build(from.view(), here.route, first[p].sink, position(), 3, used);
            const auto rebuilt =
                after->build(again.view(), here.route, first[p].sink, position(), 3, fresh);
            REQUIRE(built.has_value() == rebuilt.has_value());
            if (!built) {
                CHECK(built.error().text() == rebuilt.error().text());
                continue;
            }
            CHECK(bytes(used) == bytes(fresh));
            const std::string sent = bytes(fresh);
            const record moved = std::move(fresh);
            CHECK(bytes(moved) == sent);
        }
    }
}

TEST_CASE("Two rows of one transaction have different ids") {
    const auto plan =
        sample::plan(model({console()}, {mapped_route("s", "t", {0}, mapped{.payload = "a"})}),
                     table("s", "t", {{"a", oid::text}}));
    const row from{"same"};
    auto at = position();
    record first;
    record second;
    REQUIRE(plan->build(from.view(), 0, 0, at, 1, first).has_value());
    ++at.ordinal;
    REQUIRE(plan->build(from.view(), 0, 0, at, 1, second).has_value());
    CHECK(first.id != second.id);
}

TEST_CASE("Only the epoch differs when another relay sends a row") {
    const auto plan = sample::plan(everything(), outbox_table());
    const auto from = outbox{.topic = "billing"}.row();
    record one;
    record other;
    REQUIRE(plan->build(from.view(), 0, 0, position(), 1, one).has_value());
    REQUIRE(plan->build(from.view(), 0, 0, position(), 2, other).has_value());
    CHECK(bytes(one) != bytes(other));
    other.epoch = 1;
    CHECK(bytes(one) == bytes(other));
}
