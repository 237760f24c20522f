// The numbers that a seed stands for.
#pragma once

#include <cstdint>

namespace walrelay::simulation {

/// splitmix64: quick to start anew at each step, and the same with every standard library.
class random_numbers {
public:
    /// What is drawn for one purpose doesn't depend on how much was drawn for another.
    enum class purpose : std::uint64_t { world, step, transaction };

    random_numbers(std::uint64_t seed, purpose what, std::uint64_t number) noexcept
        : state_{mixed(mixed(seed * 4 + static_cast<std::uint64_t>(what)) + number)} {}

    std::uint64_t next() noexcept {
        state_ += 0x9E3779B97F4A7C15U;
        return mixed(state_);
    }

    bool chance(double probability) noexcept {
        return static_cast<double>(next() >> 11) * 0x1p-53 < probability;
    }

    /// Both ends are among them.
    std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
        return low + next() % (high - low + 1);
    }

private:
    static constexpr std::uint64_t mixed(std::uint64_t bits) noexcept {
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
        return bits ^ (bits >> 31);
    }

    std::uint64_t state_;
};

}  // namespace walrelay::simulation
