#include "discard_sink.hpp"

namespace walrelay::sink {

admission discard_sink::send(engine::attempt_token, std::uint32_t, const event::record&,
                             engine::outcome&) {
    return admission::delivered;
}

}  // namespace walrelay::sink
