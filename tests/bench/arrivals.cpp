#include "arrivals.hpp"

#include <csignal>
#include <fstream>
#include <stdexcept>

#include <signal.h>
#include <time.h>

namespace walrelay::bench {

namespace {

volatile std::sig_atomic_t stop = 0;

}  // namespace

std::int64_t now_ns() noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void arrivals::write(const char* file) const {
    std::ofstream out(file);
    for (const auto& [key, at] : noted_)
        out << key << ' ' << at << '\n';
    if (!out.flush()) throw std::runtime_error(std::string("can't write ") + file);
}

void catch_stop_signals() {
    struct sigaction action {};

    action.sa_handler = [](int) { stop = 1; };  // no SA_RESTART: a waiting call has to end
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
}

bool stop_requested() noexcept {
    return stop != 0;
}

}  // namespace walrelay::bench
