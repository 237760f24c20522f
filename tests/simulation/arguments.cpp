#include "simulation/arguments.hpp"

#include <cstdio>
#include <cstdlib>

namespace walrelay::simulation {

std::optional<std::string> arguments::text(std::string_view name) {
    for (int i = 1; i + 1 < count_; i += 2) {
        if (name != values_[i]) continue;
        taken_ += 2;
        return values_[i + 1];
    }
    return std::nullopt;
}

std::uint64_t arguments::number(std::string_view name, std::uint64_t fallback) {
    const auto given = text(name);
    if (!given) return fallback;
    char* end = nullptr;
    const std::uint64_t value = std::strtoull(given->c_str(), &end, 10);
    if (*end == '\0' && end != given->c_str()) return value;
    std::fprintf(stderr, "%s wants a number, got '%s'\n", std::string{name}.c_str(),
                 given->c_str());
    std::exit(2);
}

void arguments::done() const {
    if (taken_ == count_) return;
    std::fprintf(stderr, "unknown or incomplete arguments: see ./dev help\n");
    std::exit(2);
}

}  // namespace walrelay::simulation
