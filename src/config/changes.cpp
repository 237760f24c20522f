#include "walrelay/config/changes.hpp"

#include <algorithm>

#include "address.hpp"

namespace walrelay::config {

namespace {

/// Scheme, host and port, and what follows them.
std::pair<std::string_view, std::string_view> split_url(std::string_view url) {
    const auto traits = check_url(url);
    const std::size_t end = traits ? traits->path_start : url.size();
    return {url.substr(0, end), url.substr(end)};
}

bool same_route(const route& running, const route& fresh) {
    route moved = running;
    moved.at = fresh.at;  // lines above it have changed
    return moved == fresh;
}

/// The destination stays the same one: what is set aside for a sink is found by its name.
void compare_sinks(const sink& running, const sink& fresh, changes& found) {
    const std::string path = "sinks." + running.name;
    if (running.kind.index() != fresh.kind.index()) {
        found.need_restart.push_back(path + ": is " + kind_of(running) + ", would be " +
                                     kind_of(fresh));
        return;
    }
    if (const auto* kafka = std::get_if<kafka_sink>(&running.kind)) {
        const auto& other = std::get<kafka_sink>(fresh.kind);
        if (kafka->brokers != other.brokers)
            found.need_restart.push_back(path + ".kafka.brokers: other brokers");
        found.map = found.map || kafka->metadata != other.metadata;
    } else if (const auto* http = std::get_if<http_sink>(&running.kind)) {
        const auto& other = std::get<http_sink>(fresh.kind);
        const auto [origin, path_and_query] = split_url(http->url);
        const auto [other_origin, other_path] = split_url(other.url);
        if (origin != other_origin)
            found.need_restart.push_back(path + ".http.url: another scheme, host or port");
        found.map = found.map || path_and_query != other_path || http->metadata != other.metadata ||
                    http->shown_url != other.shown_url;
    }
}

bool same_names(const std::vector<sink>& running, const std::vector<sink>& fresh) {
    return std::equal(running.begin(), running.end(), fresh.begin(), fresh.end(),
                      [](const sink& a, const sink& b) { return a.name == b.name; });
}

}  // namespace

changes compare(const model& running, const model& fresh) {
    changes found;
    const auto restart_if = [&](bool differs, const char* what) {
        if (differs) found.need_restart.emplace_back(what);
    };
    restart_if(running.source.slot != fresh.source.slot, "source.slot: another slot");
    restart_if(running.source.publications != fresh.source.publications,
               "source.publication: other publications");
    restart_if(running.source.progress != fresh.source.progress, "source.progress");
    restart_if(running.admin.listen != fresh.admin.listen, "admin.listen: another address");
    restart_if(running.log.format != fresh.log.format, "log.format");
    if (same_names(running.sinks, fresh.sinks)) {
        for (std::size_t i = 0; i < running.sinks.size(); ++i)
            compare_sinks(running.sinks[i], fresh.sinks[i], found);
    } else {
        found.need_restart.emplace_back("sinks: other names, or another order of them");
    }
    found.conninfo = running.source.conninfo != fresh.source.conninfo;
    const bool same_routes = std::equal(running.routes.begin(), running.routes.end(),
                                        fresh.routes.begin(), fresh.routes.end(), same_route);
    found.map = found.map || !same_routes || running.on_event_error != fresh.on_event_error ||
                running.retry != fresh.retry || running.limits != fresh.limits;
    return found;
}

}  // namespace walrelay::config
