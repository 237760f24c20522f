// When something with a key happened, to be compared with what another process noted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace walrelay::bench {

/// CLOCK_MONOTONIC, the same in every process of the machine.
std::int64_t now_ns() noexcept;

/// Keys and times in memory; written as lines `key time` at the end, so that noting costs next to
/// nothing.
class arrivals {
public:
    void note(std::string_view key) { noted_.emplace_back(std::string(key), now_ns()); }

    /// Throws std::runtime_error if the file can't be written.
    void write(const char* file) const;

private:
    std::vector<std::pair<std::string, std::int64_t>> noted_;
};

/// Makes SIGTERM and SIGINT end a loop over `while (!stop_requested())`; a system call in it gets
/// EINTR.
void catch_stop_signals();
bool stop_requested() noexcept;

}  // namespace walrelay::bench
