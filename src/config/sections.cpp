#include "sections.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "address.hpp"
#include "conninfo.hpp"
#include "walrelay/core/template_syntax.hpp"

namespace walrelay::config {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_name_bytes = 63;  // NAMEDATALEN - 1

bool is_slot_name(std::string_view name) {
    // ReplicationSlotValidateName() in PostgreSQL's slot.c.
    return !name.empty() && name.size() <= longest_name_bytes &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
               std::string_view::npos;
}

void read_publications(const place& where, std::vector<std::string>& out) {
    const auto names = where.texts("a publication's name or a list of names");
    if (!names) return;
    std::set<std::string_view> seen;
    for (const auto& [at, name] : *names) {
        if (!is_sql_name(name.text)) {
            at.problem("expected a name of 1 to 63 bytes without control characters, got " +
                       name.shown());
        } else if (!seen.insert(name.text).second) {
            at.problem("this publication is in the list already");
        }
        out.push_back(name.text);
    }
}

}  // namespace

bool is_sql_name(std::string_view name) {
    return !name.empty() && name.size() <= longest_name_bytes &&
           std::none_of(name.begin(), name.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

std::string template_fault(const error& failure, bool secret) {
    const bool has_offset = failure.cause.starts_with("at byte offset ");
    if (!secret || !has_offset) return failure.cause;
    return failure.cause.substr(failure.cause.find(": ") + 2);
}

std::optional<scalar> read_template(const place& where) {
    auto text = where.text("a string, which may hold {column}");
    if (!text) return std::nullopt;
    const auto parts = parse_template(text->text);
    if (parts) return text;
    where.problem("not a valid template: " + template_fault(parts.error(), text->secret));
    return std::nullopt;
}

void read_source(const place& where, source& out) {
    const section keys{
        where, {"conninfo", "slot", "publication", "progress", "give_up_after", "exit_delay"}};
    if (const place* const conninfo = keys.require("conninfo")) {
        if (auto text = conninfo->text("a libpq connection string")) {
            if (is_unverified_remote(text->text)) {
                conninfo->warning(
                    "the server is on another host and is not verified: add sslmode=verify-full "
                    "and "
                    "sslrootcert");
            }
            out.conninfo = std::move(text->text);
        }
    }
    if (const place* const slot = keys.require("slot")) {
        if (auto name = slot->text("the slot's name")) {
            if (!is_slot_name(name->text)) {
                slot->problem("expected 1 to 63 of the characters a to z, 0 to 9 and _, got " +
                              name->shown());
            }
            out.slot = std::move(name->text);
        }
    }
    if (const place* const publication = keys.require("publication")) {
        read_publications(*publication, out.publications);
    }
    if (const place* const progress = keys.find("progress")) {
        progress->read(out.progress);
        if (!out.progress) progress->problem("false is not available yet; allowed: true");
    }
    if (const place* const at = keys.find("give_up_after")) {
        at->read(out.give_up_after, 0s, 8760h);
        // A restart of Postgres takes longer, and each try to connect may.
        if (out.give_up_after > 0s && out.give_up_after < 1s)
            at->problem("too short to be without Postgres; expected 0s (never) or at least 1s");
    }
    if (const place* const delay = keys.find("exit_delay")) delay->read(out.exit_delay, 0s, 1h);
}

void read_limits(const place& where, limits& out) {
    const section keys{
        where, {"in_flight_events", "in_flight_bytes", "replay_events", "event_bytes", "hold"}};
    constexpr std::uint64_t most_events = 10'000'000;
    if (const place* const at = keys.find("in_flight_events"))
        at->read(out.in_flight_events, 1, most_events);
    if (const place* const at = keys.find("replay_events"))
        at->read(out.replay_events, 1, most_events);
    if (const place* const at = keys.find("in_flight_bytes"))
        at->read_size(out.in_flight_bytes, 1, 16ULL << 30);
    // A frame of libpq's can hold 1 GiB; far below that, memory and brokers give up.
    if (const place* const at = keys.find("event_bytes"))
        at->read_size(out.event_bytes, 1, 128ULL << 20);
    if (const place* const at = keys.find("hold")) at->read(out.hold, 1s, 24h);
}

void read_admin(const place& where, admin& out) {
    const section keys{where, {"listen", "token"}};
    const place* const token = keys.find("token");
    if (token != nullptr) {
        if (auto text = token->text()) {
            const bool sendable = std::all_of(text->text.begin(), text->text.end(),
                                              [](char c) { return c > 0x20 && c < 0x7F; });
            if (text->text.empty() || !sendable) {
                token->problem(
                    "expected at least one visible ASCII character and no blanks: it is sent as "
                    "'authorization: Bearer TOKEN'");
            }
            out.token = std::move(text->text);
        }
    }
    const place* const listen = keys.find("listen");
    if (listen == nullptr) return;
    const auto text = listen->text("HOST:PORT or off");
    if (!text) return;
    if (text->text == "off") {
        out.listen.clear();
        return;
    }
    const auto address = parse_host_port(text->text);
    if (!address || !address->port) {
        return listen->problem(
            "expected HOST:PORT as in 127.0.0.1:9187 ([…] around IPv6), or off; got " +
            text->shown());
    }
    if (!is_loopback(address->host) && token == nullptr) {
        listen->problem(
            "this address can be reached from other hosts, so admin.token is required; without "
            "one, listen on 127.0.0.1");
    }
    out.listen = text->text;
}

void read_log(const place& where, log& out) {
    const section keys{where, {"level", "format"}};
    if (const place* const at = keys.find("level")) {
        constexpr std::array levels{log_level::debug, log_level::info, log_level::warning,
                                    log_level::error};
        if (const auto index = at->choice({"debug", "info", "warning", "error"}))
            out.level = levels[*index];
    }
    if (const place* const at = keys.find("format")) {
        constexpr std::array formats{log_format::text, log_format::json};
        if (const auto index = at->choice({"text", "json"})) out.format = formats[*index];
    }
}

void read_event_error_policy(const place& where, error_policy& out) {
    constexpr std::array policies{error_policy::park, error_policy::park_key, error_policy::halt};
    if (const auto index = where.choice({"park", "park_key", "halt"})) out = policies[*index];
}

void read_retry(const place& where, retry& out) {
    const section keys{where, {"max_attempts", "max_age"}};
    if (const place* const at = keys.find("max_attempts")) {
        std::uint64_t attempts = out.max_attempts;
        at->read(attempts, 0, 1'000'000);
        out.max_attempts = static_cast<std::uint32_t>(attempts);
    }
    if (const place* const at = keys.find("max_age")) at->read(out.max_age, 0s, 8760h);
}

}  // namespace walrelay::config
