// Bytes of one pgoutput message to a typed view.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <boost/system/result.hpp>

#include "walrelay/pgoutput/messages.hpp"

namespace walrelay::pgoutput {

/// Why bytes from the server are not a message, or not one that may come now.
struct protocol_error {
    enum class kind : std::uint8_t {
        truncated,        ///< a field, string or length reaches past the end
        trailing_bytes,   ///< something follows the last field
        unknown_message,  ///< a type byte of no protocol-1 message (also v2 to v4 kinds)
        unknown_frame,    ///< a CopyData payload that is neither 'w' nor 'k'
        bad_value,        ///< a kind, flag or count that the protocol doesn't have
        out_of_sequence,  ///< Commit without Begin, row outside a transaction, row before its
                          ///< Relation…
        mismatch,         ///< Commit's LSN isn't Begin's, a row has not its Relation's columns…
    };

    kind what = kind::truncated;
    char message_tag = 0;  ///< first byte of the message or frame, 0 when there is none
    const char* field =
        "";  ///< static text: the field, "tuple.length", or what is wrong in one phrase
    std::size_t offset =
        0;  ///< where that field starts in the message (of a frame: in the payload)

    /// "truncated Insert message at byte 12 (tuple.length)". Says nothing of what is in the
    /// payload.
    [[nodiscard]] std::string text() const;
};

[[noreturn]] void throw_exception_from_error(const protocol_error& what,
                                             const boost::source_location& where);

template <class T>
using decoded = boost::system::result<T, protocol_error>;

/// Decodes exactly one message. The views in the answer live as long as `bytes`. Allocates nothing,
/// reads nothing outside `bytes`, accepts nothing after the last field.
[[nodiscard]] decoded<message> decode(std::span<const std::byte> bytes) noexcept;

}  // namespace walrelay::pgoutput
