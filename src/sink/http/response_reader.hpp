// Reads one answer from a connection, byte group by byte group.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace walrelay::sink::http {

/// Largest status line and headers of an answer (and once more as much, by how the parser counts).
inline constexpr std::size_t limit_answer_head_bytes = 16 * 1024;

/// Beast's parser without a message around it: of the headers only what is needed is kept, the body
/// is counted and thrown away. Hides Beast, which takes seconds to compile.
class response_reader {
public:
    response_reader();
    ~response_reader();

    /// Forgets everything: the next byte begins an answer.
    void restart();

    /// Takes what it can of `bytes` and says how much that was; the rest has to be given again with
    /// more behind it. Stops at the end of an answer.
    std::size_t take(std::string_view bytes);

    /// Why the bytes are no HTTP answer; empty while they are. Holds nothing of the bytes.
    [[nodiscard]] const std::string& fault() const noexcept;

    [[nodiscard]] bool head_done() const noexcept;  ///< what follows is known from then on
    [[nodiscard]] int status() const noexcept;
    [[nodiscard]] const std::string& location() const noexcept;
    [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept;
    /// timeout= of the Keep-Alive header.
    [[nodiscard]] std::optional<std::chrono::seconds> idle_timeout() const noexcept;
    /// Both sides go on with the connection after this answer, whose end can be told.
    [[nodiscard]] bool keeps_connection() const noexcept;
    /// Bytes of the body that are known to be to come; chunked: 0.
    [[nodiscard]] std::uint64_t body_left() const noexcept;
    [[nodiscard]] std::uint64_t body_taken() const noexcept;

    [[nodiscard]] bool done() const noexcept;  ///< the answer is complete

private:
    class parser;
    struct holder;

    [[nodiscard]] parser& now() const noexcept;

    std::unique_ptr<holder> holder_;
    std::string fault_;
};

/// "Service Unavailable" for 503; empty for a status without a name.
[[nodiscard]] std::string_view status_name(int status) noexcept;

}  // namespace walrelay::sink::http
