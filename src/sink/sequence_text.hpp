// Where an event stood in its transaction, as the metadata of every sink says it.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <string_view>

#include "walrelay/event/record.hpp"

namespace walrelay::sink {

/// What walrelay-seq holds: a row's ordinal among the inserts, "12"; "m0" for a message inside a
/// transaction, which is numbered among its messages; "m" for a message outside of any. With the
/// commit LSN it names one event of a stream: a lone message's LSN is also where the next
/// transaction may begin, and never stands for one of its rows. On the stack: nothing is allocated.
class sequence_text {
public:
    explicit sequence_text(const event::row_position& position) noexcept {
        using origin = event::row_position::origin;
        char* at = text_.data();
        if (position.what != origin::row) *at++ = 'm';
        if (position.what != origin::lone_message)
            at = std::to_chars(at, text_.data() + text_.size(), position.ordinal).ptr;
        size_ = static_cast<std::size_t>(at - text_.data());
    }

    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

private:
    std::array<char, 12> text_{};
    std::size_t size_ = 0;
};

}  // namespace walrelay::sink
