#include "findings.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace walrelay::config {

void findings::problem(mark at, std::string path, std::string text) {
    problems_.push_back({this->at(at), std::move(path), std::move(text)});
}

void findings::warning(mark at, std::string path, std::string text) {
    warnings_.push_back({this->at(at), std::move(path), std::move(text)});
}

void findings::move_into(reading& to) {
    const auto earlier = [](const config::problem& a, const config::problem& b) {
        return std::tie(a.at.line, a.at.column) < std::tie(b.at.line, b.at.column);
    };
    std::stable_sort(problems_.begin(), problems_.end(), earlier);
    std::stable_sort(warnings_.begin(), warnings_.end(), earlier);
    to.problems = std::exchange(problems_, {});
    to.warnings = std::exchange(warnings_, {});
}

bool findings::may_suggest() noexcept {
    constexpr int enough = 50;
    return suggestions_++ < enough;
}

}  // namespace walrelay::config
