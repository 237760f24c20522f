#include "position_id.hpp"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace walrelay::event {

void append_position_id(std::string& out, const row_position& at) {
    using origin = row_position::origin;
    std::array<char, longest_position_id> text{};
    const int size =
        at.what == origin::lone_message
            ? std::snprintf(text.data(), text.size(), "%016" PRIX64 "-m", at.commit_lsn.value)
            : std::snprintf(text.data(), text.size(), "%016" PRIX64 "-%" PRId64 "-%s%" PRIu32,
                            at.commit_lsn.value, at.commit_time_us,
                            at.what == origin::message ? "m" : "", at.ordinal);
    out.append(text.data(), static_cast<std::size_t>(size));
}

}  // namespace walrelay::event
