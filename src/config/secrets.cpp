#include "secrets.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "walrelay/core/escape.hpp"

namespace walrelay::config {

namespace {

constexpr std::size_t longest_secret_file_bytes = 64U << 10;
// Against a file that uses a large secret very often; real ones need a few hundred bytes.
constexpr std::size_t most_expanded_bytes = 8U << 20;

bool is_variable_name(std::string_view name) {
    const auto letter = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    };
    return !name.empty() && letter(name.front()) &&
           std::all_of(name.begin(), name.end(),
                       [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::optional<std::string> read_secret_file(const std::string& path) {
    struct stat status {};

    // A FIFO would block for ever, a directory opens like a file.
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    std::ifstream stream{path, std::ios::binary};
    std::string text(longest_secret_file_bytes + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!stream.eof() || stream.bad()) return std::nullopt;  // larger than allowed, or unreadable
    text.resize(static_cast<std::size_t>(stream.gcount()));
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    return text;
}

std::optional<std::string> read_variable(std::string_view name) {
    const char* const value = std::getenv(std::string{name}.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
}

/// Through its group is how the relay reads a file of somebody else's: a mounted secret of a
/// Kubernetes pod, or one of root's.
bool read_by_too_many(const std::string& path) {
    struct stat status {};

    if (::stat(path.c_str(), &status) != 0) return false;
    const mode_t too_many = status.st_uid == ::geteuid() ? S_IRGRP | S_IROTH : S_IROTH;
    return (status.st_mode & too_many) != 0;
}

}  // namespace

secret_sources secret_sources::of_process() {
    return {read_variable, read_secret_file, read_by_too_many};
}

std::string scalar::shown() const {
    if (secret) return "a value that is not shown because it holds a secret";
    constexpr std::size_t enough_bytes = 60;
    return "'" + printable(text, enough_bytes) + "'";
}

std::string scalar::masked(std::size_t kept_bytes) const {
    std::string out;
    std::size_t told = 0;
    for (const span& each : secrets) {
        const std::size_t end = each.start + each.size;
        if (end <= kept_bytes) continue;
        const std::size_t start = std::max(each.start, kept_bytes);
        out.append(text, told, start - told).append("***");
        told = end;
    }
    if (told > 0) out.append(text, told);
    return out;
}

std::optional<scalar> secret_expander::expand(std::string_view text, mark at,
                                              const std::string& path) {
    scalar out;
    bool whole = true;
    while (true) {
        const std::size_t dollar = text.find("${");
        if (dollar == std::string_view::npos) break;
        if (dollar > 0 && text[dollar - 1] == '$') {
            out.text += text.substr(0, dollar - 1);
            out.text += "${";
            text.remove_prefix(dollar + 2);
            continue;
        }
        out.text += text.substr(0, dollar);
        const std::size_t end = text.find('}', dollar);
        if (end == std::string_view::npos) {
            found_.problem(at, path, "'${' is not closed; expected ${env:NAME} or ${file:/path}");
            return std::nullopt;
        }
        if (auto secret = look_up(text.substr(dollar + 2, end - dollar - 2), at, path)) {
            expanded_bytes_ += secret->size();
            out.secrets.push_back({out.text.size(), secret->size()});
            out.text += *secret;
            out.secret = true;
        } else {
            whole = false;  // go on: the value may refer to several that are missing
        }
        if (expanded_bytes_ > most_expanded_bytes) {
            found_.problem(at, path, "the secrets of this file are larger than 8 MiB together");
            return std::nullopt;
        }
        text.remove_prefix(end + 1);
    }
    if (!whole) return std::nullopt;
    out.text += text;
    if (out.text.find('\0') != std::string::npos) {
        found_.problem(at, path, "a NUL byte is not allowed");
        return std::nullopt;
    }
    return out;
}

std::optional<std::string> secret_expander::look_up(std::string_view reference, mark at,
                                                    const std::string& path) {
    constexpr std::string_view env = "env:";
    constexpr std::string_view from_file = "file:";
    std::optional<std::string> value;
    std::string what;
    std::string missing;
    if (reference.starts_with(env) && is_variable_name(reference.substr(env.size()))) {
        const std::string_view name = reference.substr(env.size());
        what = "the environment variable " + std::string{name};
        missing = " is not set";
        value = sources_.environment(name);
    } else if (reference.starts_with(from_file) &&
               reference.substr(from_file.size()).starts_with('/')) {
        const std::string name{reference.substr(from_file.size())};
        what = "the secret file " + printable(name);
        missing =
            " can't be read: it must exist, be a file of at most 64 KiB, and be readable for this "
            "user";
        value = file(name, at, path);
    } else {
        found_.problem(
            at, path,
            "'${' must begin ${env:NAME} or ${file:/path} (a name of letters, digits and _; a "
            "path from the root); write $${ for '${' itself");
        return std::nullopt;
    }
    if (!value) {
        found_.problem(at, path, what + missing);
    } else if (value->empty()) {
        found_.problem(at, path, what + " is empty; a secret must not be");
        value.reset();
    }
    return value;
}

const std::optional<std::string>& secret_expander::file(const std::string& name, mark at,
                                                        const std::string& path) {
    const auto known = files_.find(name);
    if (known != files_.end()) return known->second;
    auto content = sources_.file(name);
    if (content && sources_.others_may_read && sources_.others_may_read(name)) {
        found_.warning(at, path,
                       "the secret file " + printable(name) +
                           " can be read by other users; chmod 600 keeps it to its owner");
    }
    return files_.emplace(name, std::move(content)).first->second;
}

}  // namespace walrelay::config
