// The secrets of every test: none of their values may show up in a text.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "walrelay/config/reader.hpp"

namespace walrelay::config {

inline constexpr std::string_view canary = "S3CR3T-CANARY";

inline secret_sources test_secrets() {
    const auto look_up = [](const std::map<std::string, std::string, std::less<>>& all,
                            std::string_view name) {
        const auto found = all.find(name);
        return found == all.end() ? std::nullopt : std::optional{found->second};
    };
    secret_sources out;
    out.environment = [=](std::string_view name) {
        static const std::map<std::string, std::string, std::less<>> variables{
            {"TOKEN", std::string{canary}},
            {"EMPTY", ""},
            {"NUMBER", "1234"},
            {"NESTED", "${env:TOKEN}"},
            {"WALRELAY_HTTP_TOKEN", std::string{canary}},
            {"WALRELAY_ADMIN_TOKEN", std::string{canary}},
            {"KAFKA_PASSWORD", std::string{canary}},
            {"WALRELAY_DB_PASSWORD", std::string{canary}},
        };
        return look_up(variables, name);
    };
    out.file = [=](const std::string& path) {
        const std::string whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        static const std::map<std::string, std::string, std::less<>> files{
            {"/run/secrets/token", std::string{canary}},
            {"/run/secrets/shop/password", std::string{canary}},
            {"/run/secrets/shop/token", std::string{canary}},
            {"/run/secrets/open", std::string{canary}},
            {"/run/secrets/empty", ""},
            {"/run/secrets/webhook_new", whsec},
            {"/run/secrets/webhook_old", whsec},
        };
        return look_up(files, path);
    };
    out.others_may_read = [](const std::string& path) { return path == "/run/secrets/open"; };
    return out;
}

/// As the fixtures hold it: one problem or warning a line.
inline std::string report(const reading& result) {
    std::string text;
    for (const problem& each : result.problems)
        text += each.line() + "\n";
    for (const problem& each : result.warnings)
        text += "warning: " + each.line() + "\n";
    return text;
}

}  // namespace walrelay::config
