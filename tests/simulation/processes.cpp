#include "simulation/processes.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <system_error>
#include <thread>

namespace walrelay::simulation {

namespace {

struct child {
    std::size_t number = 0;
    pid_t process = -1;
    int from = -1;
};

[[noreturn]] void fail(const char* what) {
    throw std::system_error{errno, std::generic_category(), what};
}

/// One number for each process, which its parent reads too.
class shared_numbers {
public:
    explicit shared_numbers(std::size_t count) : bytes_{std::max<std::size_t>(count, 1) * 8} {
        void* const memory =
            ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) fail("mmap");
        first_ = static_cast<std::uint64_t*>(memory);
    }

    shared_numbers(const shared_numbers&) = delete;
    shared_numbers& operator=(const shared_numbers&) = delete;

    ~shared_numbers() { ::munmap(first_, bytes_); }

    std::uint64_t& operator[](std::size_t number) noexcept { return first_[number]; }

private:
    std::size_t bytes_;
    std::uint64_t* first_ = nullptr;
};

[[noreturn]] void be_child(int to, std::size_t number, const process_work& work, std::uint64_t& at,
                           unsigned seconds) {
    ::alarm(seconds);
    int code = 0;
    std::string output;
    try {
        output = work(number, at);
    } catch (const std::exception& failure) {
        output = failure.what();
        code = 1;
    }
    for (std::size_t done = 0; done < output.size();) {
        const ssize_t wrote = ::write(to, output.data() + done, output.size() - done);
        if (wrote <= 0) ::_exit(1);
        done += static_cast<std::size_t>(wrote);
    }
    ::_exit(code);
}

child start(std::size_t number, const process_work& work, std::uint64_t& at, unsigned seconds) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) fail("pipe");
    std::fflush(nullptr);
    const pid_t process = ::fork();
    if (process < 0) fail("fork");
    if (process == 0) {
        ::close(ends[0]);
        be_child(ends[1], number, work, at, seconds);
    }
    ::close(ends[1]);
    return {number, process, ends[0]};
}

/// How it ended, if that is a fault.
std::string reap(const child& done) {
    ::close(done.from);
    int status = 0;
    while (::waitpid(done.process, &status, 0) < 0) {
        if (errno != EINTR) fail("waitpid");
    }
    if (WIFEXITED(status)) return WEXITSTATUS(status) == 0 ? "" : "an exception ended it";
    if (WTERMSIG(status) == SIGALRM) return "it didn't end in time";
    return "signal " + std::to_string(WTERMSIG(status)) + " ended it";
}

}  // namespace

std::vector<process_end> run_in_processes(std::size_t count, const process_work& work,
                                          unsigned seconds_each) {
    const std::size_t at_once = std::max(1U, std::thread::hardware_concurrency());
    std::vector<process_end> ended(count);
    shared_numbers at{count};
    std::vector<child> running;
    std::size_t next = 0;
    while (next < count || !running.empty()) {
        for (; next < count && running.size() < at_once; ++next)
            running.push_back(start(next, work, at[next], seconds_each));
        std::vector<pollfd> watched;
        for (const child& one : running)
            watched.push_back({one.from, POLLIN, 0});
        if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) fail("poll");
        for (std::size_t i = watched.size(); i-- > 0;) {
            if (watched[i].revents == 0) continue;
            std::array<char, 4096> bytes{};
            const ssize_t got = ::read(running[i].from, bytes.data(), bytes.size());
            process_end& end = ended[running[i].number];
            if (got > 0) {
                end.output.append(bytes.data(), static_cast<std::size_t>(got));
                continue;
            }
            end.fault = reap(running[i]);
            end.at = at[running[i].number];
            running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }
    return ended;
}

}  // namespace walrelay::simulation
