#include "record_headers.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>

#include "../sequence_text.hpp"
#include "walrelay/core/header_name.hpp"

namespace walrelay::sink::kafka {

namespace {

constexpr std::string_view content_type_name = "content-type";
constexpr std::size_t largest_key_bytes = 64 * 1024;
constexpr std::size_t most_row_headers = 64;
constexpr std::size_t own_headers = 3;
constexpr std::size_t push_headers = 4;
constexpr std::size_t metadata_headers = 5;
constexpr std::string_view redriven_name = "walrelay-redriven";

/// Digits on the stack: nothing is allocated for a header but librdkafka's own copy.
class digits {
public:
    explicit digits(std::uint64_t number) noexcept {
        const auto done = std::to_chars(text_.data(), text_.data() + text_.size(), number);
        size_ = static_cast<std::size_t>(done.ptr - text_.data());
    }

    explicit digits(lsn position) noexcept {
        const int size = std::snprintf(text_.data(), text_.size(), "%X/%X",
                                       static_cast<unsigned>(position.value >> 32),
                                       static_cast<unsigned>(position.value & 0xffff'ffffU));
        size_ = static_cast<std::size_t>(size);
    }

    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

private:
    std::array<char, 24> text_{};
    std::size_t size_ = 0;
};

/// Calls `take(name, value)` for each header, in order.
template <class Take>
void for_each_header(const event::record& record, bool metadata, Take&& take) {
    using value = std::optional<std::string_view>;
    if (record.style == event::header_style::debezium) {
        take(std::string_view("id"), value(record.id));
        for (const event::header_view& header : record.headers)
            take(header.name, header.value);
        if (record.redriven) take(redriven_name, value("true"));
        return;
    }
    bool row_has_content_type = false;
    for (const event::header_view& header : record.headers) {
        row_has_content_type = row_has_content_type || same_name(header.name, content_type_name);
        take(header.name, header.value);
    }
    if (!row_has_content_type && !record.content_type.empty()) {
        take(content_type_name, value(record.content_type));
    }
    // After the row's own: a consumer that takes the last header of a name gets ours.
    take(std::string_view("id"), value(record.id));
    if (record.type) take(std::string_view("type"), record.type);
    if (record.push) {
        take(std::string_view("workflow-id"), value(record.push->workflow_id));
        take(std::string_view("workflow-attempt"), value(record.push->attempt));
        take(std::string_view("queue"), value(record.push->queue));
        take(std::string_view("name"), value(record.push->name));
    }
    if (record.redriven) take(redriven_name, value("true"));
    if (!metadata) return;
    take(std::string_view("walrelay-lsn"), value(digits(record.position.commit_lsn).view()));
    take(std::string_view("walrelay-seq"), value(sequence_text(record.position).view()));
    take(std::string_view("walrelay-xid"), value(digits(record.position.xid).view()));
    take(std::string_view("walrelay-table"), value(record.table));
    take(std::string_view("walrelay-epoch"), value(digits(record.epoch).view()));
}

}  // namespace

headers_ptr make_headers(const event::record& record, bool metadata) {
    headers_ptr headers(rd_kafka_headers_new(own_headers + record.headers.size() +
                                             (record.push ? push_headers : 0) +
                                             (metadata ? metadata_headers : 0)));
    for_each_header(record, metadata,
                    [&](std::string_view name, std::optional<std::string_view> value) {
                        // A null pointer is a null value; an empty one must point somewhere.
                        const char* bytes = !value ? nullptr : value->data() ? value->data() : "";
                        const auto name_size = static_cast<ssize_t>(name.size());
                        const auto value_size = static_cast<ssize_t>(value ? value->size() : 0);
                        rd_kafka_header_add(headers.get(), name.data() ? name.data() : "",
                                            name_size, bytes, value_size);
                    });
    return headers;
}

std::size_t headers_bytes(const event::record& record, bool metadata) noexcept {
    std::size_t bytes = 0;
    for_each_header(record, metadata,
                    [&](std::string_view name, std::optional<std::string_view> value) {
                        bytes += name.size() + (value ? value->size() : 0);
                    });
    return bytes;
}

header_list list_headers(const event::record& record, bool metadata) {
    header_list list;
    for_each_header(record, metadata,
                    [&](std::string_view name, std::optional<std::string_view> value) {
                        list.emplace_back(name, value);
                    });
    return list;
}

std::optional<std::string> record_fault(const event::record& record) {
    if (record.key && record.key->size() > largest_key_bytes) {
        return "the key has " + std::to_string(record.key->size()) + " bytes, at most " +
               std::to_string(largest_key_bytes) + " are allowed";
    }
    if (record.headers.size() > most_row_headers) {
        return "the row has " + std::to_string(record.headers.size()) + " headers, at most " +
               std::to_string(most_row_headers) + " are allowed";
    }
    return std::nullopt;
}

std::string too_large_text(std::size_t bytes, std::string_view limit, std::size_t limit_bytes) {
    return "the record has " + std::to_string(bytes) + " bytes with key and headers, more than " +
           std::string{limit} + " allows (" + std::to_string(limit_bytes) + ")";
}

}  // namespace walrelay::sink::kafka
