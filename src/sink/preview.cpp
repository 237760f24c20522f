#include "walrelay/sink/preview.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <variant>

#include "http/header_rules.hpp"
#include "http/origin.hpp"
#include "http/request_writer.hpp"
#include "kafka/record_headers.hpp"
#include "kafka/settings.hpp"
#include "kafka/topic_name.hpp"
#include "walrelay/core/header_name.hpp"

namespace walrelay::sink {

namespace {

class kafka_previewer final : public previewer {
public:
    kafka_previewer(bool metadata, std::size_t message_max_bytes)
        : metadata_{metadata}, message_max_bytes_{message_max_bytes} {}

private:
    std::optional<std::string> make(const event::record& record, preview& out) const override {
        if (auto wrong = kafka::topic_name_fault(record.destination)) return wrong;
        if (auto wrong = kafka::record_fault(record)) return wrong;
        const std::size_t bytes = record.key.value_or("").size() + record.body.value_or("").size() +
                                  kafka::headers_bytes(record, metadata_);
        // librdkafka adds its framing; what is above without it is refused for sure.
        if (bytes > message_max_bytes_)
            return kafka::too_large_text(bytes, "message.max.bytes", message_max_bytes_);
        out = {"kafka", "topic", std::string{record.destination},
               kafka::list_headers(record, metadata_)};
        return std::nullopt;
    }

    bool metadata_;
    std::size_t message_max_bytes_;
};

/// Values that the sink map sets may be secrets, whatever their name; these are not.
bool may_be_shown(std::string_view name) {
    constexpr std::array<std::string_view, 4> harmless{"accept", "accept-language", "content-type",
                                                       "user-agent"};
    return std::any_of(harmless.begin(), harmless.end(),
                       [&](std::string_view one) { return same_name(one, name); });
}

class http_previewer final : public previewer {
public:
    http_previewer(const config::http_sink& options, const http::origin& where,
                   http::request_writer writer)
        : server_{(where.tls ? "https://" : "http://") + where.authority},
          writer_{std::move(writer)} {
        for (const auto& [name, value] : options.headers) {
            if (!may_be_shown(name)) masked_.push_back(name);
        }
    }

private:
    std::optional<std::string> make(const event::record& record, preview& out) const override {
        std::string head;
        engine::outcome refusal;
        if (!writer_.write(head, record, 1, std::chrono::system_clock::now(), refusal))
            return refusal.reason;
        out = {"http", "url", {}, {}};
        take_apart(head, out);
        if (!record.secret_destination.empty()) {
            out.target = server_;
            out.target.append(record.destination);
        }
        return std::nullopt;
    }

    /// The writer's own text: each line ends in CR LF, and no value holds either.
    void take_apart(std::string_view head, preview& out) const {
        const auto next_line = [&head] {
            const std::size_t end = head.find("\r\n");
            const std::string_view line = head.substr(0, end);
            head.remove_prefix(end + 2);
            return line;
        };
        const std::string_view request = next_line();
        const std::size_t target = request.find(' ') + 1;
        out.target = server_;
        out.target.append(request.substr(target, request.rfind(' ') - target));
        for (std::string_view line = next_line(); !line.empty(); line = next_line()) {
            const std::size_t colon = line.find(": ");
            const std::string_view name = line.substr(0, colon);
            out.headers.emplace_back(
                name, is_masked(name) ? std::string{"***"} : std::string{line.substr(colon + 2)});
        }
    }

    /// A row can't bring a header that the sink map sets: by name it is the configured one.
    [[nodiscard]] bool is_masked(std::string_view name) const {
        return std::any_of(masked_.begin(), masked_.end(),
                           [&](const std::string& one) { return same_name(one, name); });
    }

    std::string server_;
    http::request_writer writer_;
    std::vector<std::string> masked_;
};

/// A sink that has neither topic nor URL, and no headers of ours.
class plain_previewer final : public previewer {
public:
    explicit plain_previewer(std::string_view kind) : kind_{kind} {}

private:
    std::optional<std::string> make(const event::record& record, preview& out) const override {
        out = {kind_, {}, {}, {}};
        for (const event::header_view& header : record.headers)
            out.headers.emplace_back(header.name, header.value);
        return std::nullopt;
    }

    std::string_view kind_;
};

bool is_secret(const event::record& record, std::string_view name) {
    if (record.content_type_secret && same_name(name, "content-type")) return true;
    return std::any_of(
        record.headers.begin(), record.headers.end(),
        [&](const event::header_view& one) { return one.secret && same_name(one.name, name); });
}

struct maker {
    const std::string& name;
    const config::limits& limits;

    using made = result<std::unique_ptr<previewer>>;

    made operator()(const config::kafka_sink& options) const {
        const auto with = kafka::make_settings(options, name, limits);
        if (!with) return with.error();
        return std::unique_ptr<previewer>{
            std::make_unique<kafka_previewer>(options.metadata, with->message_max_bytes)};
    }

    made operator()(const config::http_sink& options) const {
        const auto placed = [&](error what) {
            what.object = "sinks." + name + ".http." + what.object;
            return what;
        };
        const auto where = http::parse_origin(options.url);
        if (!where) return placed(where.error());
        auto writer = http::request_writer::make(options, *where, limits.event_bytes);
        if (!writer) return placed(writer.error());
        return std::unique_ptr<previewer>{
            std::make_unique<http_previewer>(options, *where, std::move(*writer))};
    }

    made operator()(const config::stdout_sink&) const {
        return std::unique_ptr<previewer>{std::make_unique<plain_previewer>("stdout")};
    }

    made operator()(const config::discard_sink&) const {
        return std::unique_ptr<previewer>{std::make_unique<plain_previewer>("discard")};
    }
};

}  // namespace

std::optional<std::string> previewer::show(const event::record& record, preview& out) const {
    auto refusal = make(record, out);
    if (refusal) return refusal;
    for (auto& [name, value] : out.headers) {
        if (is_secret(record, name)) value = "***";
    }
    return std::nullopt;
}

result<std::unique_ptr<previewer>> make_previewer(const config::sink& entry,
                                                  const config::limits& limits) {
    return std::visit(maker{entry.name, limits}, entry.kind);
}

}  // namespace walrelay::sink
