#include "record_headers.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>

namespace walrelay::sink::kafka {

namespace {

constexpr std::string_view content_type_name = "content-type";
constexpr std::size_t metadata_headers = 5;

bool is_content_type(std::string_view name) noexcept {
    if (name.size() != content_type_name.size()) return false;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const char c = name[i];
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        if (lower != content_type_name[i]) return false;
    }
    return true;
}

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
    bool row_has_content_type = false;
    for (const event::header_view& header : record.headers) {
        row_has_content_type = row_has_content_type || is_content_type(header.name);
        take(header.name, header.value);
    }
    if (!row_has_content_type && !record.content_type.empty()) {
        take(content_type_name, value(record.content_type));
    }
    // After the row's own: a consumer that takes the last header of a name gets ours.
    take(std::string_view("id"), value(record.id));
    if (record.type) take(std::string_view("type"), record.type);
    if (!metadata) return;
    take(std::string_view("walrelay-lsn"), value(digits(record.position.commit_lsn).view()));
    take(std::string_view("walrelay-seq"), value(digits(record.position.ordinal).view()));
    take(std::string_view("walrelay-xid"), value(digits(record.position.xid).view()));
    take(std::string_view("walrelay-table"), value(record.table));
    take(std::string_view("walrelay-epoch"), value(digits(record.epoch).view()));
}

}  // namespace

headers_ptr make_headers(const event::record& record, bool metadata) {
    constexpr std::size_t own_headers = 3;
    headers_ptr headers(rd_kafka_headers_new(own_headers + record.headers.size() +
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

}  // namespace walrelay::sink::kafka
