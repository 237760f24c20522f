// The head of each request of an HTTP sink.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "origin.hpp"
#include "signing.hpp"
#include "walrelay/config/model.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/engine/outcome.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::sink::http {

/// Largest request line and headers together; servers refuse much more than this.
inline constexpr std::size_t limit_head_bytes = 16 * 1024;

/// Writes request line and headers (RFC 9112) into a string that is used again: byte after byte,
/// since a message object with its fields costs more than the rest of an attempt. Everything that
/// comes from a row is checked or percent-encoded on the way.
///
/// The head, in this order: POST, host, the sink map's headers, user-agent, content-type,
/// content-length (never chunked), webhook-id and -timestamp, webhook-signature when the sink
/// signs, x-walrelay-key and -type where the record has them, x-walrelay-attempt, of a push
/// x-walrelay-workflow-id, -workflow-attempt, -queue, -name and idempotency-key (the workflow's
/// id), with `metadata: true` x-walrelay-lsn, -seq (see sequence_text), -xid, -table, -epoch, then
/// the row's own headers. id, key, type, table and what a push adds are percent-encoded as
/// append_percent_encoded() says.
///
/// An idempotency-key of the row's own is sent as it is, but not with a push: there ours stands
/// alone. Refusing it would fail a job whose caller handed on the headers that it was asked with.
class request_writer {
public:
    /// Fails on a configured header that can't be sent, and on a bad signing secret.
    [[nodiscard]] static result<request_writer> make(const config::http_sink& options,
                                                     const origin& where,
                                                     std::uint64_t limit_event_bytes);

    /// Fills `head`. False when the record can't be sent at all: `refusal` says why, and `head` is
    /// of no use. `now` is the time of this attempt.
    [[nodiscard]] bool write(std::string& head, const event::record& record, std::uint32_t attempt,
                             std::chrono::system_clock::time_point now,
                             engine::outcome& refusal) const;

private:
    request_writer(signer signatures, std::uint64_t limit_event_bytes, bool metadata);

    [[nodiscard]] std::optional<std::string> take_configured(
        const std::vector<std::pair<std::string, std::string>>& headers);
    static void write_push(std::string& head, const event::push_view& push);
    void write_position(std::string& head, const event::record& record) const;
    [[nodiscard]] std::string write_row_headers(std::string& head,
                                                const event::record& record) const;
    [[nodiscard]] bool is_configured(std::string_view name) const noexcept;

    signer signatures_;
    std::uint64_t limit_event_bytes_;
    bool metadata_;
    std::string fixed_;                    ///< what every head holds, from HTTP/1.1 on
    std::vector<std::string> configured_;  ///< names
    bool has_content_type_ = false;        ///< configured: holds instead of the record's
    bool has_user_agent_ = false;
};

}  // namespace walrelay::sink::http
