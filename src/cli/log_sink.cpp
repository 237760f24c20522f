#include "log_sink.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace walrelay::cli {

namespace {

constexpr std::size_t limit_waiting_bytes = 256 * 1024;

}  // namespace

void log_sink::sink_it_(const spdlog::details::log_msg& message) {
    // A gap is told of where it is: nothing goes behind it before that line can.
    const auto must_wait = [this] {
        return out_.waiting_bytes() >= limit_waiting_bytes || lost_lines_ > 0;
    };
    if (must_wait()) flush_();
    if (must_wait()) {
        ++lost_lines_;
    } else {
        append(message);
    }
}

void log_sink::flush_() {
    write_out();
    if (lost_lines_ == 0 || out_.waiting_bytes() > 0) return;
    const std::uint64_t lost = std::exchange(lost_lines_, 0);
    const std::string text =
        std::to_string(lost) + " lines of the log were lost here: standard error didn't take them";
    append({"walrelay", spdlog::level::warn, text});
    write_out();
    if (lost_lines_ > 0) lost_lines_ = lost;  // this line went the same way
}

void log_sink::append(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (std::exchange(torn_, false)) out_.waiting() += '\n';
    out_.waiting().append(line.data(), line.size());
}

void log_sink::write_out() {
    if (out_.write_out() != walrelay::sink::outlet::progress::failed) return;
    const std::string& waiting = out_.waiting();
    const auto rest = waiting.end() - static_cast<std::ptrdiff_t>(out_.waiting_bytes());
    lost_lines_ += static_cast<std::uint64_t>(std::count(rest, waiting.end(), '\n'));
    torn_ = out_.give_up() || torn_;
}

}  // namespace walrelay::cli
