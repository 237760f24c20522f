// The lines of the log on standard error.
#pragma once

#include <cstdint>

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include "walrelay/sink/outlet.hpp"

namespace walrelay::cli {

/// Never waits for whoever reads the log: delivery must not stop because a collector of logs did.
/// Lines that it doesn't take wait in 256 KiB of memory; those beyond are lost, and so are those
/// that a full disk refuses. As soon as lines are taken again, one says how many were lost. For one
/// thread; flush() writes what waits, and has to be called now and then.
class log_sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
    explicit log_sink(int descriptor) : out_{descriptor} {}

protected:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override;

private:
    void append(const spdlog::details::log_msg& message);
    void write_out();

    walrelay::sink::outlet out_;
    bool torn_ = false;  ///< the last line that was given up had begun
    std::uint64_t lost_lines_ = 0;
};

}  // namespace walrelay::cli
