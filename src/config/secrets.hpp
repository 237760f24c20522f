// ${env:NAME} and ${file:/path} in the values of a file.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "document.hpp"
#include "findings.hpp"
#include "walrelay/config/reader.hpp"

namespace walrelay::config {

/// A value with its secrets filled in.
struct scalar {
    /// A part of the text that came from a secret.
    struct span {
        std::size_t start = 0;
        std::size_t size = 0;
    };

    std::string text;
    bool secret = false;  ///< some of it came from a secret: must not be shown
    std::vector<span> secrets{};

    /// For "got …": the text in quotes and made printable, or words that say why it is not there.
    [[nodiscard]] std::string shown() const;

    /// The text with *** for each secret, or the part of one, behind its first `kept_bytes`; empty
    /// if no secret stands there.
    [[nodiscard]] std::string masked(std::size_t kept_bytes) const;
};

/// Looks up secrets, each once a reading. Outlived by the sources and findings that it is given.
class secret_expander {
public:
    secret_expander(const secret_sources& sources, findings& found)
        : sources_{sources}, found_{found} {}

    /// `$${` stands for `${`. Nothing if a secret is missing or empty or its reference is not well
    /// formed; the problem has then been reported. What a secret holds is not expanded again.
    [[nodiscard]] std::optional<scalar> expand(std::string_view text, mark at,
                                               const std::string& path);

private:
    [[nodiscard]] std::optional<std::string> look_up(std::string_view reference, mark at,
                                                     const std::string& path);
    [[nodiscard]] const std::optional<std::string>& file(const std::string& name, mark at,
                                                         const std::string& path);

    const secret_sources& sources_;
    findings& found_;
    std::map<std::string, std::optional<std::string>> files_;
    std::size_t expanded_bytes_ = 0;
};

}  // namespace walrelay::config
