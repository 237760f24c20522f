// What is wrong with a file, gathered while it is read.
#pragma once

#include <string>
#include <vector>

#include "document.hpp"
#include "walrelay/config/reader.hpp"

namespace walrelay::config {

/// Problems and warnings of one file. Whoever adds one makes sure that its text holds no secret.
class findings {
public:
    explicit findings(std::string file) : file_{std::move(file)} {}

    void problem(mark at, std::string path, std::string text);
    void warning(mark at, std::string path, std::string text);

    [[nodiscard]] position at(mark where) const { return {file_, where.line, where.column}; }

    [[nodiscard]] bool any_problem() const noexcept { return !problems_.empty(); }

    /// Both, sorted by position; leaves this empty.
    void move_into(reading& to);

    /// True a bounded number of times: a search for the nearest name takes long for hostile files
    /// with very many unknown names, and nobody reads that many suggestions.
    [[nodiscard]] bool may_suggest() noexcept;

private:
    std::string file_;
    std::vector<config::problem> problems_;
    std::vector<config::problem> warnings_;
    int suggestions_ = 0;
};

}  // namespace walrelay::config
