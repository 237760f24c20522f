// One thing that a command found out, with what mends it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace walrelay::cli {

enum class severity : std::uint8_t {
    ok,
    info,   ///< worth knowing; nothing has to be done
    warns,  ///< the relay runs, but something will hurt
    stops,  ///< the relay would not start, or stall
};

const char* to_string(severity level) noexcept;

struct finding {
    severity level = severity::ok;
    std::string subject;             ///< "slot", "publication", "table shop.mail_outbox"
    std::string text;                ///< one line
    std::vector<std::string> mends;  ///< SQL, settings or commands, in the order to use them
};

[[nodiscard]] bool any_stops(const std::vector<finding>& findings) noexcept;

/// Aligned lines, the mends indented beneath.
[[nodiscard]] std::string findings_as_text(const std::vector<finding>& findings);

/// "2 findings stop the relay, 1 warning" in a line.
[[nodiscard]] std::string summary(const std::vector<finding>& findings);

/// A JSON array of {severity, subject, text, mends}.
[[nodiscard]] std::string findings_as_json(const std::vector<finding>& findings);

}  // namespace walrelay::cli
