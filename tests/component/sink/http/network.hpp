// The system's look-up of names and the connections of this program, as a test wants them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace walrelay::test {

/// Takes the place of getaddrinfo() for one name while it lives. Other names go to the system.
class stand_in_name {
public:
    using endpoints = std::vector<std::pair<std::string, std::uint16_t>>;  ///< address, port
    /// Runs in the thread that asks, and may block. No endpoints: no such name.
    using answer = std::function<endpoints()>;

    stand_in_name(const std::string& name, answer each);
    /// Waits for the questions that are being answered.
    ~stand_in_name();
    stand_in_name(const stand_in_name&) = delete;
    stand_in_name& operator=(const stand_in_name&) = delete;

private:
    std::string name_;
};

/// Sees where this program tries to connect to, from when it is made: earlier tests may have had
/// the same ports.
class connection_watch {
public:
    connection_watch();

    /// As "127.0.0.1:80" and "[::1]:80", in order.
    [[nodiscard]] std::vector<std::string> tried() const;
    /// Those to one of these.
    [[nodiscard]] std::vector<std::string> tried_among(const std::vector<std::string>& some) const;

private:
    std::size_t before_;
};

/// A port of a loopback address that answers no connection at all, neither yes nor no: a listener
/// whose queue is full.
class black_hole {
public:
    /// "127.0.0.1" or "::1".
    explicit black_hole(const std::string& address);
    ~black_hole();
    black_hole(const black_hole&) = delete;
    black_hole& operator=(const black_hole&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::vector<int> queued_;
};

}  // namespace walrelay::test
