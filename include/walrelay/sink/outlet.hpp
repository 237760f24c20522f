// Text to a descriptor whose reader may be slow, or gone, without ever waiting for it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace walrelay::sink {

/// The descriptor stays blocking, because a shell or another process may share it, and is written
/// to only as far as poll(2) says that it takes it. Making one ignores SIGPIPE where nobody handles
/// it: a reader that has gone must be an answer, not the end of the process.
class outlet {
public:
    enum class progress : std::uint8_t {
        all,      ///< nothing waits
        blocked,  ///< try again after `look_again`
        failed,   ///< errno says why; nothing more will be taken, or not now (a full disk)
    };

    /// How often a reader that takes nothing is looked at. epoll(7) would need a descriptor that
    /// does not block, and O_NONBLOCK is shared with everybody who has the same terminal or pipe.
    static constexpr std::chrono::milliseconds look_again{2};

    explicit outlet(int descriptor);

    /// Text is appended to it, never taken away.
    [[nodiscard]] std::string& waiting() noexcept { return buffer_; }

    [[nodiscard]] std::size_t waiting_bytes() const noexcept { return buffer_.size() - written_; }

    /// Counted from the first byte ever: where the text that was appended ends, and how much of it
    /// was written or given up.
    [[nodiscard]] std::uint64_t appended() const noexcept { return done_ + buffer_.size(); }

    [[nodiscard]] std::uint64_t reached() const noexcept { return done_ + written_; }

    /// As much as goes without waiting.
    progress write_out();

    /// Gives up what waits. True when that began in the middle of a line.
    bool give_up();

    /// Nobody can read any more what a pipe or socket would be given.
    [[nodiscard]] bool reader_is_gone() const noexcept;

private:
    progress write_waiting();
    void forget_written();

    int descriptor_;
    bool is_file_;
    std::string buffer_;
    std::size_t written_ = 0;  ///< of buffer_
    std::uint64_t done_ = 0;   ///< before buffer_
    bool in_a_line_ = false;   ///< the byte before buffer_ ends no line
};

}  // namespace walrelay::sink
