#include "walrelay/postgres/conninfo_user.hpp"

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace walrelay::postgres {

namespace {

struct free_options {
    void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};

using option_list = std::unique_ptr<PQconninfoOption, free_options>;

std::optional<std::string> user_of(const option_list& options) {
    if (!options) return std::nullopt;
    for (const auto* one = options.get(); one->keyword != nullptr; ++one) {
        if (std::string_view{one->keyword} == "user" && one->val != nullptr && *one->val != '\0') {
            return std::string{one->val};
        }
    }
    return std::nullopt;
}

/// An error could be made of a string too: say which is meant.
result<std::string> given_name(std::string name) {
    return result<std::string>{boost::system::in_place_value, std::move(name)};
}

}  // namespace

result<std::string> conninfo_user(const std::string& conninfo) {
    const option_list given{PQconninfoParse(conninfo.c_str(), nullptr)};
    if (!given) {
        return error{"read", "source.conninfo", "it is no libpq connection string",
                     "keyword=value pairs, or postgresql://user@host:port/database"};
    }
    if (auto user = user_of(given)) return given_name(std::move(*user));
    const option_list defaults{PQconndefaults()};
    if (auto user = user_of(defaults)) return given_name(std::move(*user));
    return error{"read", "source.conninfo", "it names no user, and there is no default",
                 "user=..."};
}

}  // namespace walrelay::postgres
