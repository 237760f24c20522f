#include "walrelay/pgoutput/messages.hpp"

#include "walrelay/core/byte_reader.hpp"

namespace walrelay::pgoutput {

namespace {

// The decoder has checked every byte that is read here: these reads can't fail.
constexpr std::size_t value_header_bytes = 5;   // kind, length
constexpr std::size_t column_fixed_bytes = 10;  // flags, the name's NUL, type oid, type modifier

std::uint32_t u32_at(const std::byte* at) noexcept {
    return byte_reader{{at, 4}}.u32();
}

/// NUL-terminated; the view is without the NUL.
std::string_view c_string_at(const std::byte* at) noexcept {
    return {reinterpret_cast<const char*>(at)};
}

}  // namespace

value_view tuple_view::iterator::operator*() const noexcept {
    if (*at_ == std::byte{'t'}) {
        const auto* const text = reinterpret_cast<const char*>(at_ + value_header_bytes);
        return {value_view::kind::text, {text, u32_at(at_ + 1)}};
    }
    return {*at_ == std::byte{'u'} ? value_view::kind::unchanged_toast : value_view::kind::null,
            {}};
}

tuple_view::iterator& tuple_view::iterator::operator++() noexcept {
    at_ += *at_ == std::byte{'t'} ? value_header_bytes + u32_at(at_ + 1) : 1;
    return *this;
}

column_view column_list::iterator::operator*() const noexcept {
    const std::string_view name = c_string_at(at_ + 1);
    const std::byte* const after_name = at_ + 1 + name.size() + 1;
    return {*at_ != std::byte{0}, name, u32_at(after_name),
            static_cast<std::int32_t>(u32_at(after_name + 4))};
}

column_list::iterator& column_list::iterator::operator++() noexcept {
    at_ += column_fixed_bytes + c_string_at(at_ + 1).size();
    return *this;
}

std::uint32_t truncate::relation_id(std::uint32_t index) const noexcept {
    return u32_at(relation_ids.data() + std::size_t{index} * 4);
}

}  // namespace walrelay::pgoutput
