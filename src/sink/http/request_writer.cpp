#include "request_writer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "../sequence_text.hpp"
#include "header_rules.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/core/header_name.hpp"
#include "walrelay/core/lsn.hpp"

namespace walrelay::sink::http {

namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::string_view idempotency_key = "idempotency-key";
constexpr std::string_view user_agent_line = "User-Agent: walrelay/" WALRELAY_VERSION "\r\n";

void append_number(std::string& out, std::uint64_t number) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out.append(digits.data(), end);
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append(line_end);
}

void append_encoded_line(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ");
    append_percent_encoded(out, value);
    out.append(line_end);
}

void append_number_line(std::string& out, std::string_view name, std::uint64_t number) {
    out.append(name).append(": ");
    append_number(out, number);
    out.append(line_end);
}

/// Path and query as they stand in a request line.
bool is_request_target(std::string_view target) noexcept {
    return !target.empty() && target.front() == '/' &&
           std::all_of(target.begin(), target.end(),
                       [](char c) { return c > ' ' && c < '\x7F' && c != '#'; });
}

}  // namespace

request_writer::request_writer(signer signatures, std::uint64_t limit_event_bytes, bool metadata)
    : signatures_{std::move(signatures)},
      limit_event_bytes_{limit_event_bytes},
      metadata_{metadata} {}

result<request_writer> request_writer::make(const config::http_sink& options, const origin& where,
                                            std::uint64_t limit_event_bytes) {
    auto signatures = signer::make(options.signing);
    if (!signatures) return signatures.error();
    request_writer writer{std::move(signatures).value(), limit_event_bytes, options.metadata};
    writer.fixed_ = " HTTP/1.1\r\n";
    append_line(writer.fixed_, "Host", where.authority);
    if (auto cause = writer.take_configured(options.headers)) {
        return error{"read", "headers", *cause, "a value is visible ASCII, spaces and tabs"};
    }
    if (writer.fixed_.size() > limit_head_bytes / 2) {
        return error{"read", "headers", "together they are larger than 8 KiB", ""};
    }
    return writer;
}

std::optional<std::string> request_writer::take_configured(
    const std::vector<std::pair<std::string, std::string>>& headers) {
    for (const auto& [name, value] : headers) {
        if (!is_header_name(name)) return "\"" + printable(name) + "\" is not the name of a header";
        if (is_reserved_header(name))
            return name + " can't be configured: walrelay sets it or the connection depends on it";
        if (same_name(name, idempotency_key)) {
            return name +
                   " can't be configured: with the same value on every request a receiver "
                   "would drop all events but the first";
        }
        if (is_configured(name)) return name + " is there twice";
        // The value may be a secret: name only.
        if (!is_field_value(value))
            return "the value of " + name + " holds a byte that no header may hold";
        configured_.push_back(name);
        append_line(fixed_, name, value);
        has_content_type_ = has_content_type_ || same_name(name, "content-type");
        has_user_agent_ = has_user_agent_ || same_name(name, "user-agent");
    }
    return std::nullopt;
}

bool request_writer::is_configured(std::string_view name) const noexcept {
    return std::any_of(configured_.begin(), configured_.end(),
                       [&](const std::string& taken) { return same_name(taken, name); });
}

bool request_writer::write(std::string& head, const event::record& record, std::uint32_t attempt,
                           std::chrono::system_clock::time_point now,
                           engine::outcome& refusal) const {
    const auto refuse = [&](std::string reason) {
        refusal = {};
        refusal.what = engine::outcome_class::event_final;
        refusal.reason = std::move(reason);
        return false;
    };
    const std::string_view body = record.body.value_or(std::string_view{});
    if (body.size() > limit_event_bytes_) {
        return refuse("the body has " + std::to_string(body.size()) +
                      " bytes, limits.event_bytes allows " + std::to_string(limit_event_bytes_));
    }
    // What a row brings in headers is at most so long once it is encoded; this keeps the work and
    // the memory for a hostile row small, the exact check is at the end.
    if (record.id.size() + record.key.value_or("").size() + record.type.value_or("").size() >
        limit_head_bytes) {
        return refuse("id, key and type do not fit into 16 KiB of request head");
    }
    if (record.push && record.push->workflow_id.size() + record.push->attempt.size() +
                               record.push->queue.size() + record.push->name.size() >
                           limit_head_bytes) {
        return refuse("id, queue and name of the workflow do not fit into 16 KiB of request head");
    }
    const std::string_view target = record.address();
    head.assign(target.empty() || target.front() == '?' ? "POST /" : "POST ");
    head.append(target);
    if (!is_request_target(std::string_view{head}.substr(5))) {
        return refuse("the path of the URL holds a byte that no URL may hold");
    }
    head.append(fixed_);
    if (!has_content_type_ && !record.content_type.empty()) {
        if (!is_field_value(record.content_type))
            return refuse("content-type holds a byte that no header may hold");
        append_line(head, "Content-Type", record.content_type);
    }
    append_number_line(head, "Content-Length", body.size());

    head.append("webhook-id: ");
    const std::size_t id_at = head.size();
    append_percent_encoded(head, record.id);
    const std::size_t id_size = head.size() - id_at;
    head.append("\r\nwebhook-timestamp: ");
    const std::size_t time_at = head.size();
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    append_number(head, static_cast<std::uint64_t>(seconds));
    const std::size_t time_size = head.size() - time_at;
    head.append(line_end);
    if (!signatures_.empty()) {
        std::string signatures;
        const std::string_view written = head;
        if (!signatures_.append(signatures, written.substr(id_at, id_size),
                                written.substr(time_at, time_size), body)) {
            // No fault of the record, and never a reason to send it unsigned.
            refusal = {};
            refusal.what = engine::outcome_class::endpoint;
            refusal.reason = "OpenSSL failed to sign";
            return false;
        }
        append_line(head, "webhook-signature", signatures);
    }

    if (record.key) append_encoded_line(head, "x-walrelay-key", *record.key);
    if (record.type) append_encoded_line(head, "x-walrelay-type", *record.type);
    append_number_line(head, "x-walrelay-attempt", attempt);
    if (record.redriven) append_line(head, "x-walrelay-redriven", "true");
    if (record.push) write_push(head, *record.push);
    if (metadata_) write_position(head, record);
    if (std::string fault = write_row_headers(head, record); !fault.empty())
        return refuse(std::move(fault));
    head.append(line_end);
    if (head.size() > limit_head_bytes) {
        return refuse("request line and headers have " + std::to_string(head.size()) +
                      " bytes, the limit is " + std::to_string(limit_head_bytes));
    }
    return true;
}

void request_writer::write_push(std::string& head, const event::push_view& push) {
    append_encoded_line(head, "x-walrelay-workflow-id", push.workflow_id);
    append_encoded_line(head, "x-walrelay-workflow-attempt", push.attempt);
    append_encoded_line(head, "x-walrelay-queue", push.queue);
    append_encoded_line(head, "x-walrelay-name", push.name);
    append_encoded_line(head, idempotency_key, push.workflow_id);
}

void request_writer::write_position(std::string& head, const event::record& record) const {
    append_line(head, "x-walrelay-lsn", to_string(record.position.commit_lsn));
    append_line(head, "x-walrelay-seq", sequence_text(record.position).view());
    append_number_line(head, "x-walrelay-xid", record.position.xid);
    append_encoded_line(head, "x-walrelay-table", record.table);
    append_number_line(head, "x-walrelay-epoch", record.epoch);
}

/// Empty when all is well, else what is wrong with the row. Names the header, never its value.
std::string request_writer::write_row_headers(std::string& head,
                                              const event::record& record) const {
    bool brings_user_agent = has_user_agent_;
    for (const auto& [name, value, secret] : record.headers) {
        if (!value || (record.push && same_name(name, idempotency_key))) continue;
        const auto named = [&](const char* fault) {
            return "header \"" + printable(name, 64) + "\" " + fault;
        };
        if (!is_header_name(name)) return named("of the row has a name that HTTP does not allow");
        if (is_reserved_header(name) || same_name(name, "authorization")) {
            return named(
                "can't be set by a row: it belongs to the connection, the sink or walrelay");
        }
        if (is_configured(name)) return named("of the row repeats one that the sink map sets");
        if (!is_field_value(*value)) {
            return named("of the row holds a byte other than visible ASCII, space and tab");
        }
        if (head.size() + name.size() + value->size() > limit_head_bytes) {
            return named("of the row does not fit into 16 KiB of request head");
        }
        brings_user_agent = brings_user_agent || same_name(name, "user-agent");
        append_line(head, name, *value);
    }
    if (!brings_user_agent) head.append(user_agent_line);
    return {};
}

}  // namespace walrelay::sink::http
