#include "walrelay/config/reader.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include "document.hpp"
#include "findings.hpp"
#include "place.hpp"
#include "secrets.hpp"
#include "sections.hpp"

namespace walrelay::config {

namespace {

model read_root(const place& root) {
    const section keys{
        root, {"source", "sinks", "routes", "on_event_error", "retry", "limits", "admin", "log"}};
    model out;
    if (const place* const at = keys.require("source")) read_source(*at, out.source);
    std::optional<sink_list> sinks;
    if (const place* const at = keys.require("sinks")) sinks = read_sinks(*at);
    if (const place* const at = keys.find("on_event_error"))
        read_event_error_policy(*at, out.on_event_error);
    if (const place* const at = keys.require("routes"))
        out.routes = read_routes(*at, sinks ? &*sinks : nullptr, out.on_event_error);
    if (sinks) out.sinks = std::move(sinks->sinks);
    if (const place* const at = keys.find("retry")) read_retry(*at, out.retry);
    if (const place* const at = keys.find("limits")) read_limits(*at, out.limits);
    if (const place* const at = keys.find("admin")) read_admin(*at, out.admin);
    if (const place* const at = keys.find("log")) read_log(*at, out.log);
    return out;
}

reading refused(const std::string& path, std::string why) {
    reading out;
    out.problems.push_back({{path, 0, 0}, "", "can't be read: " + std::move(why)});
    return out;
}

reading unreadable(const std::string& path, int code) {
    return refused(path, std::generic_category().message(code));
}

}  // namespace

std::string problem::line() const {
    std::string out = at.file;
    if (at.line > 0) out += ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
    if (!path.empty()) out += ": " + path;
    return out + ": " + text;
}

reading read_text(std::string_view yaml, const std::string& file_name,
                  const secret_sources& secrets) {
    reading out;
    findings found{file_name};
    const document parsed = parse_document(yaml);
    if (parsed.fault) {
        found.problem(parsed.fault->at, "", parsed.fault->text);
        found.move_into(out);
        return out;
    }
    secret_expander expander{secrets, found};
    reading_state state{found, expander};
    constexpr mark start{1, 1};
    model read = read_root(place{state, {start, "", start, parsed.root}, ""});
    if (!found.any_problem()) out.model = std::move(read);
    found.move_into(out);
    return out;
}

reading read_file(const std::string& path) {
    struct stat status {};

    if (::stat(path.c_str(), &status) != 0) return unreadable(path, errno);
    if (S_ISDIR(status.st_mode)) return unreadable(path, EISDIR);
    // A pipe that nobody writes to would be waited for without end.
    if (!S_ISREG(status.st_mode)) return refused(path, "not a file: a pipe, socket or device");
    errno = 0;
    std::ifstream stream{path, std::ios::binary};
    if (!stream) return unreadable(path, errno != 0 ? errno : EIO);
    // One byte more than allowed, so that the check for the size sees it.
    std::string text(longest_file_bytes + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (stream.bad()) return unreadable(path, errno != 0 ? errno : EIO);
    text.resize(static_cast<std::size_t>(stream.gcount()));
    return read_text(text, path, secret_sources::of_process());
}

}  // namespace walrelay::config
