// Files on disk: the sink map itself, and the secrets of the process.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "test_secrets.hpp"

namespace walrelay::config {

namespace {

namespace fs = std::filesystem;

/// A folder of its own, gone with the object.
class temporary_folder {
public:
    temporary_folder() {
        std::string name = (fs::temp_directory_path() / "walrelay-config-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }

    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;

    ~temporary_folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }

    [[nodiscard]] std::string file(const std::string& name, const std::string& content,
                                   mode_t mode = 0600) const {
        const fs::path path = path_ / name;
        std::ofstream{path, std::ios::binary} << content;
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        return path.string();
    }

    [[nodiscard]] std::string path() const { return path_.string(); }

private:
    fs::path path_;
};

std::string file_with_token(const temporary_folder& folder, const std::string& reference) {
    return folder.file("relay.yaml",
                       "source: { conninfo: '', slot: s, publication: p }\n"
                       "sinks: { c: { stdout: {} } }\n"
                       "routes: [ { from: walrelay.outbox, to: c } ]\n"
                       "admin: { token: \"" +
                           reference + "\" }\n");
}

}  // namespace

TEST_CASE("A file that can't be read is named with the system's reason") {
    const temporary_folder folder;
    const std::string missing = folder.path() + "/relay.yaml";
    CHECK(report(read_file(missing)) == missing + ": can't be read: No such file or directory\n");
    CHECK(report(read_file(folder.path())) == folder.path() + ": can't be read: Is a directory\n");
    const std::string below = folder.file("file", "") + "/relay.yaml";
    CHECK(report(read_file(below)) == below + ": can't be read: Not a directory\n");
    if (::geteuid() != 0) {  // root may read everything
        const std::string locked = folder.file("locked.yaml", "", 0);
        CHECK(report(read_file(locked)) == locked + ": can't be read: Permission denied\n");
    }
}

TEST_CASE("D5: a pipe or a device as configuration is refused and not waited for") {
    const temporary_folder folder;
    const std::string pipe = folder.path() + "/pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    for (const std::string& path : {pipe, std::string{"/dev/zero"}, std::string{"/dev/null"}}) {
        CHECK(report(read_file(path)) ==
              path + ": can't be read: not a file: a pipe, socket or device\n");
    }
}

TEST_CASE("A file larger than 1 MiB is refused by its size") {
    const temporary_folder folder;
    const std::string path = folder.file("relay.yaml", std::string((1U << 20) + 1, '#'));
    CHECK(report(read_file(path)) == path + ": larger than 1 MiB; a sink map is a few KiB\n");
}

TEST_CASE("A secret file is read without its line break") {
    const temporary_folder folder;
    for (const std::string end : {"", "\n", "\r\n"}) {
        const std::string secret = folder.file("token", "abc" + end);
        const reading result = read_file(file_with_token(folder, "${file:" + secret + "}"));
        INFO(report(result));
        REQUIRE(result.model);
        CHECK(result.model->admin.token == "abc");
        CHECK(result.warnings.empty());
    }
    const std::string two_lines = folder.file("token", "abc\n\n");
    CHECK_FALSE(read_file(file_with_token(folder, "${file:" + two_lines + "}")).model);
}

TEST_CASE("A secret file that group or others can read gives a warning") {
    const temporary_folder folder;
    for (const mode_t mode : {mode_t{0640}, mode_t{0604}, mode_t{0444}}) {
        const std::string secret = folder.file("token", "abc", mode);
        const reading result = read_file(file_with_token(folder, "${file:" + secret + "}"));
        CHECK(result.model);
        REQUIRE(result.warnings.size() == 1);
        CHECK(result.warnings[0].path == "admin.token");
        CHECK(result.warnings[0].text ==
              "the secret file " + secret +
                  " can be read by other users; chmod 600 keeps it to its owner");
        fs::remove(secret);
    }
}

TEST_CASE("A secret file of another user may be read through its group, but not by everybody") {
    if (::geteuid() != 0) return;  // only root can give a file away
    const temporary_folder folder;
    const auto warnings = [&](mode_t mode) {
        const std::string secret = folder.file("token", "abc", mode);
        REQUIRE(::chown(secret.c_str(), 65534, ::getegid()) == 0);
        return read_file(file_with_token(folder, "${file:" + secret + "}")).warnings.size();
    };
    CHECK(warnings(0440) == 0);
    CHECK(warnings(0444) == 1);
}

TEST_CASE(
    "A secret file that is missing, a folder, a pipe, empty or huge is a problem, and is not "
    "waited for") {
    const temporary_folder folder;
    const std::string pipe = folder.path() + "/pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    for (const std::string& path :
         {folder.path() + "/none", folder.path(), pipe, folder.file("empty", "\n"),
          folder.file("huge", std::string(65 * 1024, 'x'))}) {
        INFO(path);
        const reading result = read_file(file_with_token(folder, "${file:" + path + "}"));
        REQUIRE(result.problems.size() == 1);
        CHECK(result.problems[0].path == "admin.token");
        CHECK(result.problems[0].text.find(path) != std::string::npos);
    }
}

TEST_CASE("Variables come from the environment of the process") {
    const temporary_folder folder;
    REQUIRE(::setenv("WALRELAY_TEST_TOKEN", "abc", 1) == 0);
    const reading result = read_file(file_with_token(folder, "${env:WALRELAY_TEST_TOKEN}"));
    REQUIRE(::unsetenv("WALRELAY_TEST_TOKEN") == 0);
    INFO(report(result));
    REQUIRE(result.model);
    CHECK(result.model->admin.token == "abc");
    CHECK_FALSE(read_file(file_with_token(folder, "${env:WALRELAY_TEST_TOKEN}")).model);
}

}  // namespace walrelay::config
