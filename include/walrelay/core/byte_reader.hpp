// A checked cursor over bytes from the network.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace walrelay {

/// Reads big-endian integers, NUL-terminated strings and runs of bytes. Failure is sticky: after
/// the first read that does not fit, every read gives zero or nothing and ok() is false, so a
/// message is read field by field and checked once. Never reads outside the span. The views that it
/// gives point into the span.
class byte_reader {
public:
    explicit byte_reader(std::span<const std::byte> bytes) noexcept
        : first_{bytes.data()}, at_{bytes.data()}, last_{bytes.data() + bytes.size()} {}

    [[nodiscard]] bool ok() const noexcept { return ok_; }

    [[nodiscard]] std::size_t offset() const noexcept {
        return static_cast<std::size_t>(at_ - first_);
    }

    [[nodiscard]] std::size_t remaining() const noexcept {
        return ok_ ? static_cast<std::size_t>(last_ - at_) : 0;
    }

    /// Everything was read, and nothing failed.
    [[nodiscard]] bool at_end() const noexcept { return ok_ && at_ == last_; }

    std::uint8_t u8() noexcept { return integer<std::uint8_t>(); }

    std::uint16_t u16() noexcept { return integer<std::uint16_t>(); }

    std::uint32_t u32() noexcept { return integer<std::uint32_t>(); }

    std::uint64_t u64() noexcept { return integer<std::uint64_t>(); }

    std::int32_t i32() noexcept { return static_cast<std::int32_t>(u32()); }

    std::int64_t i64() noexcept { return static_cast<std::int64_t>(u64()); }

    /// The next `size` bytes.
    std::span<const std::byte> bytes(std::size_t size) noexcept {
        if (remaining() < size) return fail(), std::span<const std::byte>{};
        const std::byte* const start = at_;
        at_ += size;
        return {start, size};
    }

    /// The bytes up to the next NUL, which is consumed and not part of the answer.
    std::string_view c_string() noexcept {
        const std::size_t left = remaining();
        const void* const nul = left == 0 ? nullptr : std::memchr(at_, 0, left);
        if (nul == nullptr) return fail(), std::string_view{};
        const auto size = static_cast<std::size_t>(static_cast<const std::byte*>(nul) - at_);
        const std::string_view text{reinterpret_cast<const char*>(at_), size};
        at_ += size + 1;
        return text;
    }

    void fail() noexcept { ok_ = false; }

private:
    template <class Integer>
    Integer integer() noexcept {
        if (remaining() < sizeof(Integer)) return fail(), Integer{};
        Integer value;
        std::memcpy(&value, at_, sizeof value);
        at_ += sizeof value;
        if constexpr (sizeof(Integer) > 1 && std::endian::native == std::endian::little) {
            if constexpr (sizeof(Integer) == 2) value = __builtin_bswap16(value);
            if constexpr (sizeof(Integer) == 4) value = __builtin_bswap32(value);
            if constexpr (sizeof(Integer) == 8) value = __builtin_bswap64(value);
        }
        return value;
    }

    const std::byte* first_;
    const std::byte* at_;
    const std::byte* last_;
    bool ok_ = true;
};

}  // namespace walrelay
