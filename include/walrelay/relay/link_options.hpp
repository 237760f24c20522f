// How the relay connects: one server, each connection named after what it is for.
#pragma once

#include <string>

#include "walrelay/config/model.hpp"
#include "walrelay/postgres/connection.hpp"

namespace walrelay::relay {

/// `purpose` is what pg_stat_activity shows behind "walrelay": the slot, "probe" or "check".
inline postgres::connect_options link_options(const config::source& source,
                                              const std::string& purpose) {
    postgres::connect_options options;
    options.conninfo = source.conninfo;
    options.application_name = "walrelay " + purpose;
    return options;
}

}  // namespace walrelay::relay
