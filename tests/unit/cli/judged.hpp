// A healthy server as facts, which a test then breaks in one place, and a look at what is found.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "judge.hpp"

namespace walrelay::cli {

inline config::model one_route_map() {
    config::model model;
    model.source.slot = "s";
    model.source.publications = {"p"};
    model.sinks.push_back({"out", config::stdout_sink{}, {}});
    config::route route;
    route.from_schema = "walrelay";
    route.from_table = "outbox";
    route.to = {0};
    model.routes.push_back(route);
    return model;
}

inline constexpr std::uint32_t text_oid = 25;
inline constexpr std::uint32_t bytea_oid = 17;
inline constexpr std::uint32_t jsonb_oid = 3802;

/// Text, but for the names that the outbox gives to JSON and bytes.
inline std::vector<pgoutput::column> columns_named(const std::vector<std::string>& names) {
    std::vector<pgoutput::column> columns;
    for (const auto& name : names) {
        const bool json = name == "payload" || name == "headers" || name == "body";
        columns.push_back({name, json ? jsonb_oid : name == "raw" ? bytea_oid : text_oid, false});
    }
    return columns;
}

inline facts healthy_facts() {
    const std::vector<std::string> names{"seq",  "id",      "at",  "topic",  "key",
                                         "type", "payload", "raw", "headers"};
    facts found;
    found.settings = {150018, "15.18", "logical", "UTF8", false, 60'000, true, "relay", 77};
    found.backend_pid = 77;
    found.system_identifier = "7000000000000000001";
    found.timeline = 1;
    found.rights = {true, true, true, true, true, true, true};
    found.record = record_facts{{0x200}, found.system_identifier, 1, "yesterday"};
    postgres::slot_state slot;
    slot.name = "s";
    slot.plugin = "pgoutput";
    slot.slot_type = "logical";
    slot.database = slot.current_database = "shop";
    slot.confirmed_flush = {0x200};
    slot.wal_status = "reserved";
    found.slot = slot;
    found.publications.found.push_back({"p", true, false, false, false, true, false});
    found.publications.tables.push_back({"p", "walrelay", "outbox", false, names});
    found.publications.tables.push_back({"p", "walrelay", "redrive", false, {}});
    found.tables.push_back({"walrelay", "outbox", true, true, true, columns_named(names), {}});
    found.capacity = {10, 1, 10, 1, 50'000, "0"};
    found.sees_other_sessions = true;
    return found;
}

/// The findings above `info`: what a person has to look at.
inline std::vector<finding> complaints(const facts& found,
                                       const config::model& model = one_route_map()) {
    auto all = judge(found, {model, "relay.yaml"});
    std::erase_if(all, [](const finding& one) { return one.level < severity::warns; });
    return all;
}

inline bool mends_with(const finding& one, const std::string& text) {
    return std::any_of(one.mends.begin(), one.mends.end(), [&](const std::string& mend) {
        return mend.find(text) != std::string::npos;
    });
}

inline bool says(const finding& one, const std::string& text) {
    return one.text.find(text) != std::string::npos;
}

}  // namespace walrelay::cli
