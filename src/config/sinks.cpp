#include <string_view>

#include "sections.hpp"

namespace walrelay::config {

namespace {

constexpr std::size_t most_sinks = 1000;

bool is_sink_name(std::string_view name) {
    constexpr std::size_t longest = 63;
    return !name.empty() && name.size() <= longest &&
           name.find_first_not_of(
               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
               std::string_view::npos;
}

/// Fills `out.kind`; false if it isn't known which kind the sink is of.
bool read_kind(const place& where, sink& out) {
    const section kinds{where, {"kafka", "http", "stdout", "discard"}};
    if (!kinds.is_map()) return false;
    std::size_t count = 0;
    if (const place* const at = kinds.find("kafka")) {
        ++count;
        read_kafka_sink(*at, out.kind.emplace<kafka_sink>());
    }
    if (const place* const at = kinds.find("http")) {
        ++count;
        read_http_sink(*at, out.kind.emplace<http_sink>());
    }
    if (const place* const at = kinds.find("stdout")) {
        ++count;
        out.kind = stdout_sink{};
        const section none{*at, {}};
    }
    if (const place* const at = kinds.find("discard")) {
        ++count;
        out.kind = discard_sink{};
        const section none{*at, {}};
    }
    if (count != 1 && !kinds.has_refused_keys()) {
        where.key_problem("expected exactly one of kafka, http, stdout, discard; got " +
                          std::string{count == 0 ? "none" : "several"});
    }
    return count == 1;
}

}  // namespace

sink_list read_sinks(const place& where) {
    sink_list out;
    const auto entries = where.entries();
    if (!entries) return out;
    if (entries->empty())
        where.key_problem("expected at least one sink, as in sinks: { console: { stdout: {} } }");
    if (entries->size() > most_sinks) where.key_problem("more than 1000 sinks");
    for (const auto& [name, at] : *entries) {
        if (!is_sink_name(name)) {
            at.key_problem(
                "a sink's name has 1 to 63 of the characters A to Z, a to z, 0 to 9, _ and -");
        } else if (name == "none") {
            at.key_problem("a sink can't be named none: in a route, to: none discards");
        }
        sink each{name, {}, at.position_in_file()};
        const bool known = read_kind(at, each);
        out.sinks.push_back(std::move(each));
        out.kind_is_known.push_back(known);
    }
    return out;
}

}  // namespace walrelay::config
