// A list as text.
#pragma once

#include <string>
#include <string_view>

namespace walrelay {

/// "a, b, c", of anything that can be walked and holds texts.
template <class Texts>
[[nodiscard]] std::string joined(const Texts& texts, std::string_view between = ", ") {
    std::string all;
    bool first = true;
    for (const std::string_view text : texts) {
        if (!first) all += between;
        first = false;
        all += text;
    }
    return all;
}

}  // namespace walrelay
