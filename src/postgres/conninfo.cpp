#include "conninfo.hpp"

#include <libpq-fe.h>

#include <array>
#include <memory>
#include <optional>
#include <string_view>

namespace walrelay::postgres {

namespace {

struct free_options {
    void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};

using option_list = std::unique_ptr<PQconninfoOption, free_options>;
using setting_map = std::map<std::string, std::string>;

// Each of these changes a byte that we send on, or a promise that we make. Given in the start-up
// packet they come after ALTER ROLE and ALTER DATABASE, and after the user's own options.
constexpr std::string_view pins_of_all =
    " -c datestyle=ISO,MDY -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=3"
    " -c bytea_output=hex -c lc_monetary=C -c search_path=pg_catalog"
    " -c standard_conforming_strings=on -c client_min_messages=warning"
    " -c default_transaction_read_only=off"
    " -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0";

constexpr std::string_view pins_of_replication = " -c statement_timeout=0 -c lock_timeout=0";

constexpr std::string_view pins_of_sql =
    " -c synchronous_commit=local -c default_transaction_isolation=read\\ committed"
    " -c default_transaction_deferrable=off"
    " -c statement_timeout=30s -c lock_timeout=5s";

/// A dead peer is noticed in half a minute, not in the two hours of the kernel's default.
constexpr std::array<std::pair<const char*, const char*>, 6> defaults_of_ours{{
    {"keepalives", "1"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "20000"},
    {"target_session_attrs", "read-write"},
}};

sql_error malformed(std::string cause) {
    sql_error failure;
    failure.what.operation = "read";
    failure.what.object = "source.conninfo";
    failure.what.cause = std::move(cause);
    failure.what.hint =
        "libpq's form is \"host=... dbname=... user=...\" or \"postgresql://user@host/dbname\"";
    failure.connection_lost = true;
    return failure;
}

void add_given(setting_map& settings, const option_list& options) {
    for (const PQconninfoOption* each = options.get(); each->keyword != nullptr; ++each) {
        if (each->val != nullptr) settings.try_emplace(each->keyword, each->val);
    }
}

/// What libpq would take from PGHOST and the like, or from the service of PGSERVICE; we must know
/// it, as names are resolved and options are appended here.
void add_environment(setting_map& settings) {
    const option_list options{PQconndefaults()};
    if (!options) return;  // libpq says why when it connects
    for (const PQconninfoOption* each = options.get(); each->keyword != nullptr; ++each) {
        const std::string_view keyword = each->keyword;
        const bool wanted = keyword == "host" || keyword == "hostaddr" || keyword == "port" ||
                            keyword == "options" || keyword == "target_session_attrs";
        const bool has_value = each->val != nullptr && *each->val != '\0';
        // libpq's built-in default of target_session_attrs is "any": not somebody's wish.
        const bool built_in =
            keyword == "target_session_attrs" && has_value && std::string_view{each->val} == "any";
        if (wanted && has_value && !built_in) settings.try_emplace(each->keyword, each->val);
    }
}

std::optional<std::string> take(setting_map& settings, const std::string& keyword) {
    const auto found = settings.find(keyword);
    if (found == settings.end()) return std::nullopt;
    std::string value = std::move(found->second);
    settings.erase(found);
    return value;
}

std::vector<std::string> split_list(const std::optional<std::string>& list) {
    std::vector<std::string> parts;
    if (!list) return parts;
    std::size_t start = 0;
    for (;;) {
        const std::size_t comma = list->find(',', start);
        parts.push_back(list->substr(start, comma - start));
        if (comma == std::string::npos) return parts;
        start = comma + 1;
    }
}

sql_result<std::vector<endpoint>> read_endpoints(setting_map& settings) {
    const std::vector<std::string> hosts = split_list(take(settings, "host"));
    const std::vector<std::string> addresses = split_list(take(settings, "hostaddr"));
    const std::vector<std::string> ports = split_list(take(settings, "port"));
    if (!hosts.empty() && !addresses.empty() && hosts.size() != addresses.size()) {
        return malformed("as many hostaddr are wanted as there are host");
    }
    const std::size_t count = std::max({hosts.size(), addresses.size(), std::size_t{1}});
    if (ports.size() > 1 && ports.size() != count) {
        return malformed("either one port is wanted or as many as there are host");
    }
    std::vector<endpoint> endpoints(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!hosts.empty()) endpoints[i].host = hosts[i];
        if (!addresses.empty()) endpoints[i].address = addresses[i];
        if (!ports.empty()) endpoints[i].port = ports.size() == 1 ? ports[0] : ports[i];
    }
    return endpoints;
}

void add_pins(setting_map& settings, const connect_options& options) {
    std::string& start_up = settings["options"];
    start_up += pins_of_all;
    start_up += options.replication ? pins_of_replication : pins_of_sql;
    settings["client_encoding"] = "UTF8";
    settings["gssencmode"] = "disable";  // its handshake blocks, and moves the socket
    settings["fallback_application_name"] = options.application_name;
    for (const auto& [keyword, value] : defaults_of_ours)
        settings.try_emplace(keyword, value);
    settings.erase("replication");
    if (options.replication) settings["replication"] = "database";
}

}  // namespace

bool endpoint::is_socket() const noexcept {
    return address.empty() && (host.empty() || host.front() == '/' || host.front() == '@');
}

bool endpoint::needs_resolving() const noexcept {
    return address.empty() && !is_socket();
}

std::string endpoint::where() const {
    if (is_socket()) return "socket " + (host.empty() ? std::string{"of libpq's default"} : host);
    std::string text = "host " + (host.empty() ? address : host);
    if (!host.empty() && !address.empty() && address != host) text += " (" + address + ")";
    return text + " port " + (port.empty() ? std::string{"5432"} : port);
}

sql_result<conninfo> read_conninfo(const connect_options& options) {
    char* complaint = nullptr;
    const option_list parsed{PQconninfoParse(options.conninfo.c_str(), &complaint)};
    PQfreemem(complaint);
    if (!parsed) {
        return malformed(
            "libpq doesn't understand it: an unknown option, or a value without quotes (it isn't "
            "shown, as it may hold a password)");
    }
    conninfo info;
    add_given(info.settings, parsed);
    // Where a service is named here, its file comes before the environment, and only libpq reads
    // it.
    if (!info.settings.contains("service")) add_environment(info.settings);
    auto endpoints = read_endpoints(info.settings);
    if (!endpoints) return endpoints.error();
    info.endpoints = std::move(*endpoints);
    add_pins(info.settings, options);
    return info;
}

}  // namespace walrelay::postgres
