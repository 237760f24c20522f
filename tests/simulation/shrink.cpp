#include "simulation/shrink.hpp"

#include <algorithm>
#include <cctype>
#include <exception>
#include <numeric>

#include "simulation/world.hpp"

namespace walrelay::simulation {

namespace {

using clock = std::chrono::steady_clock;

class shrinker {
public:
    shrinker(std::uint64_t seed, const shrink_limits& limits, telling whole)
        : seed_{seed},
          limits_{limits},
          ends_at_{clock::now() + limits.time},
          promise_{promise_of(whole.broken)},
          shortest_{std::move(whole)} {
        least_.tells = true;
    }

    /// Until a round finds nothing more.
    void shrink() {
        bool found = true;
        while (found && !spent()) {
            found = false;
            std::vector<std::uint64_t> rows(shortest_.rows);
            std::iota(rows.begin(), rows.end(), std::uint64_t{0});
            found |= leave_out(least_.rows_left_out, std::move(rows));
            found |= leave_out(least_.faults_left_out, shortest_.faults);
            std::vector<std::uint64_t> steps(shortest_.steps);
            std::iota(steps.begin(), steps.end(), std::uint64_t{1});
            found |= leave_out(least_.steps_left_out, std::move(steps));
        }
    }

    [[nodiscard]] const plot& least() const noexcept { return least_; }

    [[nodiscard]] const telling& shortest() const noexcept { return shortest_; }

    [[nodiscard]] std::size_t runs() const noexcept { return runs_; }

private:
    [[nodiscard]] bool spent() const { return runs_ >= limits_.runs || clock::now() >= ends_at_; }

    /// The last ones first: what comes after the cause is most of it.
    bool leave_out(std::set<std::uint64_t>& left_out, std::vector<std::uint64_t> rest) {
        std::erase_if(rest, [&](std::uint64_t one) { return left_out.contains(one); });
        bool found = false;
        for (std::size_t part = rest.size(); part > 0 && !spent(); part /= 2) {
            for (std::size_t end = rest.size(); end > 0 && !spent();) {
                const std::size_t begin = end - std::min(end, part);
                const std::set<std::uint64_t> before = left_out;
                const auto from = rest.begin() + static_cast<std::ptrdiff_t>(begin);
                const auto to = rest.begin() + static_cast<std::ptrdiff_t>(end);
                left_out.insert(from, to);
                if (still_breaks()) {
                    rest.erase(from, to);
                    found = true;
                } else {
                    left_out = before;
                }
                end = begin;
            }
        }
        return found;
    }

    bool still_breaks() {
        ++runs_;
        telling one = tell(seed_, least_);
        if (promise_of(one.broken) != promise_) return false;
        if (one.story.size() > shortest_.story.size()) return false;
        shortest_ = std::move(one);
        return true;
    }

    std::uint64_t seed_;
    shrink_limits limits_;
    clock::time_point ends_at_;
    std::string promise_;
    plot least_;
    telling shortest_;
    std::size_t runs_ = 0;
};

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += line + '\n';
    return text;
}

}  // namespace

telling tell(std::uint64_t seed, const plot& told) {
    telling one;
    world run{seed, told};
    try {
        run.run();
    } catch (const std::exception& failure) {
        one.broken = failure.what();
    }
    one.story = run.story();
    one.steps = run.steps_with_faults();
    one.rows = run.rows_drawn();
    one.faults = run.faults_met();
    return one;
}

std::string promise_of(const std::string& broken) {
    const std::size_t begin = broken.starts_with("seed ") ? broken.find(": ") : std::string::npos;
    std::string promise = begin == std::string::npos ? broken : broken.substr(begin + 2);
    // "I6" is the name of a promise, "row 17" is anyone.
    std::string without;
    for (std::size_t i = 0; i < promise.size(); ++i) {
        const bool digit = std::isdigit(static_cast<unsigned char>(promise[i])) != 0;
        const bool named = i > 0 && (promise[i - 1] == 'I' || (i == 2 && promise[0] == 'I'));
        if (!digit || named) {
            without += promise[i];
        } else if (without.empty() || without.back() != '#') {
            without += '#';
        }
    }
    return without;
}

std::optional<shrunk> shrink(std::uint64_t seed, const shrink_limits& limits) {
    plot all;
    all.tells = true;
    telling whole = tell(seed, all);
    if (whole.broken.empty()) return std::nullopt;
    shrinker one{seed, limits, whole};
    one.shrink();
    return shrunk{one.least(), std::move(whole), one.shortest(), one.runs()};
}

std::string story_of(std::uint64_t seed, const shrink_limits& limits) {
    const auto found = shrink(seed, limits);
    if (!found) {
        plot all;
        all.tells = true;
        return joined(tell(seed, all).story) + "seed " + std::to_string(seed) +
               " breaks no promise\n";
    }
    const auto part = [](std::size_t left, std::size_t whole) {
        return std::to_string(left) + " of " + std::to_string(whole);
    };
    const telling& whole = found->whole;
    const telling& least = found->short_one;
    const auto left = [](std::size_t all_of_them, const std::set<std::uint64_t>& left_out) {
        return all_of_them - static_cast<std::size_t>(std::count_if(
                                 left_out.begin(), left_out.end(),
                                 [&](std::uint64_t one) { return one < all_of_them; }));
    };
    return joined(least.story) + "BROKEN " + least.broken + "\nThe least that breaks it, after " +
           std::to_string(found->runs) +
           " runs: " + part(left(least.rows, found->least.rows_left_out), whole.rows) + " rows, " +
           part(least.faults.size(), whole.faults.size()) + " faults, " +
           part(left(least.steps, found->least.steps_left_out), whole.steps) + " steps, " +
           part(least.story.size(), whole.story.size()) + " lines.\n";
}

}  // namespace walrelay::simulation
