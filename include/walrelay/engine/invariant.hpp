// The promises that the engine checks in release builds.
#pragma once

#include <stdexcept>

namespace walrelay::engine {

/// A bug of ours that could lose or reorder a row. The process ends (exit 70) without acknowledging
/// anything more: what was not delivered comes again after the restart.
class invariant_violation : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// `promise` is static text that begins with the invariant's number: "I1: …".
inline void require(bool holds, const char* promise) {
    if (!holds) [[unlikely]]
        throw invariant_violation{promise};
}

}  // namespace walrelay::engine
