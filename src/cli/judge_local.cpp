#include "judge_local.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <variant>

#include "running_relay.hpp"
#include "walrelay/config/reader.hpp"
#include "walrelay/core/escape.hpp"

namespace walrelay::cli {

namespace {

bool sounds_secret(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    constexpr std::array marks{"password", "secret", "authorization", "token",
                               "api-key",  "cookie", "jaas",          ".pem"};
    return std::any_of(marks.begin(), marks.end(),
                       [&](const char* mark) { return name.find(mark) != std::string::npos; });
}

bool has_password(std::string_view conninfo) {
    if (conninfo.find("password") != std::string_view::npos) return true;
    const auto scheme = conninfo.find("://");
    if (scheme == std::string_view::npos) return false;
    const auto authority = conninfo.substr(scheme + 3, conninfo.find('/', scheme + 3) - scheme - 3);
    const auto at = authority.rfind('@');
    return at != std::string_view::npos &&
           authority.substr(0, at).find(':') != std::string_view::npos;
}

}  // namespace

std::vector<std::string> written_secrets(const config::model& model, std::string_view yaml) {
    std::vector<std::string> found;
    const auto look = [&](const std::string& option, const std::string& value) {
        if (!value.empty() && yaml.find(value) != std::string_view::npos) found.push_back(option);
    };
    if (has_password(model.source.conninfo)) look("source.conninfo", model.source.conninfo);
    look("admin.token", model.admin.token);
    for (const auto& entry : model.sinks) {
        const auto sink = "sinks." + entry.name;
        if (const auto* kafka = std::get_if<config::kafka_sink>(&entry.kind)) {
            for (const auto& [name, value] : kafka->properties)
                if (sounds_secret(name)) look(sink + ".kafka.properties." + name, value);
        }
        if (const auto* http = std::get_if<config::http_sink>(&entry.kind)) {
            for (const auto& [name, value] : http->headers)
                if (sounds_secret(name)) look(sink + ".http.headers." + name, value);
            for (const auto& secret : http->signing)
                look(sink + ".http.signing", secret);
        }
    }
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

local_facts gather_local(const config::model& model, const std::string& file) {
    local_facts found;
    found.bind_fault = bind_fault(model.admin);
    if (!found.bind_fault.empty()) {
        if (const auto answer = ask_relay(model.admin)) {
            const auto body = nlohmann::json::parse(*answer, nullptr, false);
            const auto slot = body.is_object() ? body.find("slot") : body.end();
            if (body.is_object() && slot != body.end() && slot->is_string())
                found.answering_slot = slot->get<std::string>();
        }
    }
    const auto others_may_read = config::secret_sources::of_process().others_may_read;
    if (others_may_read(file)) {
        std::ifstream stream{file, std::ios::binary};
        const std::string yaml{std::istreambuf_iterator<char>{stream}, {}};
        found.open_secrets = written_secrets(model, yaml);
    }
    for (const auto& entry : model.sinks) {
        const auto* http = std::get_if<config::http_sink>(&entry.kind);
        if (http == nullptr || http->tls.key.empty() || !others_may_read(http->tls.key)) continue;
        found.open_keys.push_back(http->tls.key);
    }
    return found;
}

std::vector<finding> judge_local(const local_facts& found, const config::model& model,
                                 const std::string& file) {
    std::vector<finding> out;
    const auto listen = printable(model.admin.listen);
    if (found.answering_slot == model.source.slot) {
        out.push_back({severity::info, "admin", "a relay of this slot answers at " + listen, {}});
    } else if (found.answering_slot) {
        out.push_back(
            {severity::stops,
             "admin",
             "the relay of slot " + printable(*found.answering_slot) + " answers at " + listen,
             {"another port in admin.listen"}});
    } else if (!found.bind_fault.empty()) {
        out.push_back({severity::stops,
                       "admin",
                       listen + " can't be taken: " + printable(found.bind_fault, 200),
                       {"another address or port in admin.listen"}});
    } else if (!listen.empty()) {
        out.push_back({severity::ok, "admin", listen + " is free", {}});
    }
    for (const auto& option : found.open_secrets) {
        out.push_back({severity::warns,
                       "secrets",
                       printable(option) + " holds a secret as it is, and others may read the file",
                       {"${file:/path} or ${env:NAME} in its place", "chmod 600 " + file}});
    }
    for (const auto& key : found.open_keys) {
        out.push_back({severity::warns,
                       "secrets",
                       "others may read the private key " + printable(key),
                       {"chmod 600 " + printable(key)}});
    }
    return out;
}

}  // namespace walrelay::cli
