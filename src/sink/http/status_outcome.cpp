#include "status_outcome.hpp"

#include <algorithm>
#include <string>

#include "response_reader.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/core/planted.hpp"

namespace walrelay::sink::http {

namespace {

using engine::outcome_class;

outcome_class class_of(int status) noexcept {
    switch (status) {
        case 408:
        case 425:
        case 429:
            if (planted(bug::overload_blames_event)) return outcome_class::event;
            return outcome_class::transient;
        case 404:
        case 405:
        case 410:
        case 421:
            if (planted(bug::missing_url_blames_event)) return outcome_class::event;
            return outcome_class::target;
        case 401:
        case 403:
        case 407:
            return outcome_class::endpoint;
        default:
            break;
    }
    // A 2xx here is one that the sink map left out of `success`: nobody said what it means.
    if (status >= 200 && status < 300) return outcome_class::unknown;
    if (status >= 300 && status < 400) {
        if (planted(bug::redirect_counts_as_delivered)) return outcome_class::delivered;
        return outcome_class::endpoint;
    }
    if (status >= 400 && status < 500) return outcome_class::event;
    if (planted(bug::server_error_blames_event)) return outcome_class::event;
    // 5xx; and what is no status of HTTP is a malformed answer, RFC 9110, 15: treat it as 5xx.
    return outcome_class::transient;
}

/// The host of an absolute or scheme-relative URL; empty for a path.
std::string_view host_of(std::string_view location) noexcept {
    const std::size_t slashes = location.find("//");
    if (slashes == std::string_view::npos) return {};
    // "//" later in a path or query is no authority.
    if (slashes != 0 && location.find_first_of("/?#") != slashes) return {};
    std::string_view authority = location.substr(slashes + 2);
    authority = authority.substr(0, authority.find_first_of("/?#\\"));
    const std::size_t user_end = authority.rfind('@');
    return user_end == std::string_view::npos ? authority : authority.substr(user_end + 1);
}

}  // namespace

engine::outcome outcome_of(const answer& got, const std::vector<config::status_range>& success) {
    const bool delivered =
        std::any_of(success.begin(), success.end(), [&](const config::status_range& range) {
            return got.status >= range.first && got.status <= range.last;
        });
    engine::outcome outcome;
    if (delivered) {
        outcome.what = outcome_class::delivered;
        return outcome;
    }
    outcome.what = class_of(got.status);
    outcome.reason = "HTTP " + std::to_string(got.status);
    if (const auto name = status_name(got.status); !name.empty())
        outcome.reason.append(" ").append(name);
    if (outcome.what == outcome_class::unknown)
        outcome.reason += ", not in the sink's success codes";
    if (got.status >= 300 && got.status < 400) {
        const std::string host = printable(host_of(got.location), 100);
        if (!host.empty()) outcome.reason += " to host " + host;
        outcome.reason += " (redirects are never followed)";
    }
    if (outcome.what == outcome_class::transient && got.retry_after) {
        outcome.retry_after = got.retry_after;
        outcome.hold_target = got.status == 429 || got.status == 503;
    }
    return outcome;
}

}  // namespace walrelay::sink::http
