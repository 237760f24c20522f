#include "walrelay/relay/stall_log.hpp"

#include <spdlog/spdlog.h>

namespace walrelay::relay {

void stall_log::look(const std::vector<admin::sink_figures>& sinks) {
    std::map<std::string, std::string> now;
    for (const admin::sink_figures& sink : sinks) {
        for (const admin::stall& stall : sink.stalls) {
            std::string name = "sink " + sink.name;
            if (!stall.name.empty()) name += ", " + stall.scope + " " + stall.name;
            now[name] = stall.reason;
        }
    }
    for (const auto& [name, reason] : now) {
        const auto before = said_.find(name);
        if (before == said_.end() || before->second != reason) spdlog::warn("{} stalls: {}", name, reason);
    }
    for (const auto& [name, reason] : said_) {
        if (!now.contains(name)) spdlog::info("{} goes on", name);
    }
    said_ = std::move(now);
}

}  // namespace walrelay::relay
