// What follows the name of a program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace walrelay::simulation {

/// `--name value` pairs. Each is taken by name; done() ends the program if one was left over.
class arguments {
public:
    arguments(int count, char** values) : count_{count}, values_{values} {}

    /// Ends the program if it is no number.
    [[nodiscard]] std::uint64_t number(std::string_view name, std::uint64_t fallback);
    [[nodiscard]] std::optional<std::string> text(std::string_view name);
    /// Call it last.
    void done() const;

private:
    int count_;
    char** values_;
    int taken_ = 1;
};

}  // namespace walrelay::simulation
