// What a sink would put on the wire, made by the code that sends it, without a network.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::sink {

struct preview {
    std::string_view kind;         ///< kafka, http, stdout or discard
    std::string_view target_name;  ///< topic or url; empty where the sink has neither
    std::string target;            ///< the topic, or the whole URL
    /// All headers of the record or request in their order. Values that the sink sets are "***",
    /// but for the few that never hold a secret, and so are those into which a route put one.
    std::vector<std::pair<std::string, std::optional<std::string>>> headers;
};

/// Of one sink; for the eyes of people.
class previewer {
public:
    virtual ~previewer() = default;

    /// Overwrites `out` with the first attempt as it would be made now. An answer is why the sink
    /// would refuse the record; `out` is of no use then. Limits that only a broker knows are not
    /// looked at.
    [[nodiscard]] std::optional<std::string> show(const event::record& record, preview& out) const;

private:
    /// All of it but the headers of `record` that are secret, which may stand in it.
    [[nodiscard]] virtual std::optional<std::string> make(const event::record& record,
                                                          preview& out) const = 0;
};

/// Fails where the sink can't be made either, but for files and hosts, which are not looked at.
[[nodiscard]] result<std::unique_ptr<previewer>> make_previewer(const config::sink& entry,
                                                                const config::limits& limits);

}  // namespace walrelay::sink
