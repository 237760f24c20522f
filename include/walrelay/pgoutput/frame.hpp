// The payload of one CopyData message, in the memory of whoever received it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace walrelay::pgoutput {

/// Moves without a copy: what points into it stays good. Empty by default.
class frame {
public:
    using free_function = void (*)(void*);

    frame() = default;

    /// `owned` is freed by `release`, and may be null.
    frame(void* owned, std::size_t size, free_function release) noexcept
        : buffer_{owned, freer{release}}, size_{size} {}

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return {static_cast<const std::byte*>(buffer_.get()), size_};
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    explicit operator bool() const noexcept { return buffer_ != nullptr; }

private:
    struct freer {
        void operator()(void* buffer) const noexcept { release(buffer); }

        free_function release;
    };

    std::unique_ptr<void, freer> buffer_;
    std::size_t size_ = 0;
};

}  // namespace walrelay::pgoutput
