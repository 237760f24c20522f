#include <sys/prctl.h>
#include <unistd.h>

#include <memory>

#include <spdlog/pattern_formatter.h>
#include <spdlog/spdlog.h>

#include "log_sink.hpp"
#include "walrelay/cli/commands.hpp"
#include "walrelay/config/reader.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/relay/relay.hpp"

namespace walrelay::cli {

namespace {

/// The message as the inside of a JSON string.
class json_message : public spdlog::custom_flag_formatter {
public:
    void format(const spdlog::details::log_msg& message, const std::tm&,
                spdlog::memory_buf_t& out) override {
        std::string escaped;
        append_json_escaped(escaped, {message.payload.data(), message.payload.size()});
        out.append(escaped.data(), escaped.data() + escaped.size());
    }

    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<json_message>();
    }
};

spdlog::level::level_enum level_of(config::log_level level) {
    switch (level) {
        case config::log_level::debug:
            return spdlog::level::debug;
        case config::log_level::info:
            return spdlog::level::info;
        case config::log_level::warning:
            return spdlog::level::warn;
        case config::log_level::error:
            break;
    }
    return spdlog::level::err;
}

void use_level(const config::log& options) {
    spdlog::set_level(level_of(options.level));
}

/// Logs go to stderr: stdout belongs to the sink of that name.
void set_up_log(const config::log& options) {
    auto logger =
        std::make_shared<spdlog::logger>("walrelay", std::make_shared<log_sink>(STDERR_FILENO));
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    formatter->add_flag<json_message>('*');
    formatter->set_pattern(options.format == config::log_format::json
                               ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%*"})"
                               : "%Y-%m-%dT%H:%M:%S.%eZ %-8l %v");
    logger->set_formatter(std::move(formatter));
    logger->flush_on(spdlog::level::debug);
    spdlog::set_default_logger(std::move(logger));
    use_level(options);
}

std::optional<config::model> read_again(const std::string& file) {
    config::reading read = config::read_file(file);
    for (const config::problem& problem : read.problems)
        spdlog::error("{}", problem.line());
    for (const config::problem& warning : read.warnings)
        spdlog::warn("{}", warning.line());
    return std::move(read.model);
}

}  // namespace

exit_code run(const common_options& options) {
    prctl(PR_SET_DUMPABLE, 0);  // a core dump would hold secrets and payloads
    config::reading read = config::read_file(options.config_file);
    for (const config::problem& problem : read.problems)
        std::fprintf(stderr, "%s\n", problem.line().c_str());
    if (!read.model) return exit_code::configuration;
    set_up_log(read.model->log);
    for (const config::problem& warning : read.warnings)
        spdlog::warn("{}", warning.line());
    const std::string file = options.config_file;
    relay::relay process{std::move(*read.model), {[file] { return read_again(file); }, use_level}};
    // From here on a signal is heard, not the end of the process.
    spdlog::info("walrelay {} with {}", WALRELAY_VERSION, file);
    return static_cast<exit_code>(process.run());
}

}  // namespace walrelay::cli
