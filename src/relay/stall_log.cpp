#include "walrelay/relay/stall_log.hpp"

#include <spdlog/spdlog.h>

namespace walrelay::relay {

void stall_log::look(const admin::snapshot& shown) {
    std::map<std::string, said> now;
    for (const admin::sink_figures& sink : shown.sinks) {
        for (const admin::stall& stall : sink.stalls) {
            if (stall.scope == "key") {
                // Many keys may fail at once, and the figures show only some: the first stands for
                // them all.
                now.try_emplace("sink " + sink.name + ", a key",
                                said{"key " + stall.name + ": " + stall.reason, ""});
            } else {
                const std::string name =
                    stall.name.empty() ? "" : ", " + stall.scope + " " + stall.name;
                now.try_emplace("sink " + sink.name + name, said{stall.reason, stall.reason});
            }
        }
    }
    if (!shown.limit_held_by.empty() && !shown.ready) {
        now.try_emplace("reading", said{shown.limit_held_by, ""});
    }
    for (const auto& [name, what] : now) {
        const auto before = said_.find(name);
        if (before == said_.end() || before->second.tells_apart != what.tells_apart) {
            spdlog::warn("{} stalls: {}", name, what.text);
        }
    }
    for (const auto& [name, what] : said_) {
        if (!now.contains(name)) spdlog::info("{} goes on", name);
    }
    said_ = std::move(now);
}

}  // namespace walrelay::relay
