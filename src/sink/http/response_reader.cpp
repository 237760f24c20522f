#include "response_reader.hpp"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "header_rules.hpp"
#include "retry_after.hpp"
#include "walrelay/core/header_name.hpp"

namespace walrelay::sink::http {

namespace beast = boost::beast;
using beast::error_code;

class response_reader::parser final : public beast::http::basic_parser<false> {
public:
    parser() {
        header_limit(static_cast<std::uint32_t>(limit_answer_head_bytes));
        body_limit(boost::none);
        eager(true);
    }

    int code = 0;
    std::string location;
    std::optional<std::chrono::milliseconds> retry_after;
    std::optional<std::chrono::seconds> idle_timeout;
    std::uint64_t body_taken = 0;

private:
    void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int,
                         error_code&) override {}

    void on_response_impl(int status, beast::string_view, int, error_code&) override {
        code = status;
    }

    void on_field_impl(beast::http::field name, beast::string_view, beast::string_view text,
                       error_code&) override {
        if (is_header_done()) return;  // a trailer comes after the outcome
        const std::string_view value{text.data(), text.size()};
        // Only three of Beast's three hundred names matter here.
        if (name == beast::http::field::location) {
            location = value.substr(0, 1024);
        } else if (name == beast::http::field::retry_after) {
            const auto wait = parse_retry_after(value, std::chrono::system_clock::now());
            if (wait) retry_after = std::max(*wait, retry_after.value_or(*wait));
        } else if (name == beast::http::field::keep_alive) {
            take_keep_alive(value);
        }
    }

    /// "timeout=5, max=1000".
    void take_keep_alive(std::string_view value) {
        constexpr std::string_view name = "timeout=";
        while (!value.empty()) {
            std::string_view parameter = value.substr(0, value.find(','));
            value.remove_prefix(std::min(parameter.size() + 1, value.size()));
            parameter.remove_prefix(std::min(parameter.find_first_not_of(" \t"), parameter.size()));
            if (!same_name(parameter.substr(0, name.size()), name)) continue;
            std::uint32_t seconds = 0;
            const char* const end = parameter.data() + parameter.size();
            const auto read = std::from_chars(parameter.data() + name.size(), end, seconds);
            if (read.ec == std::errc{}) idle_timeout = std::chrono::seconds{seconds};
        }
    }

    void on_header_impl(error_code&) override {}

    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

    std::size_t on_body_impl(beast::string_view body, error_code&) override {
        body_taken += body.size();
        return body.size();
    }

    void on_chunk_header_impl(std::uint64_t, beast::string_view extensions, error_code&) override {
        body_taken += extensions.size();
    }

    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code&) override {
        // A chunk of one byte is six on the wire: endless small chunks are an endless body too.
        body_taken += body.size() + 6;
        return body.size();
    }

    void on_finish_impl(error_code&) override {}
};

/// Beast's parser reads one message and is then built anew, here without going to the heap.
struct response_reader::holder {
    std::optional<parser> current{std::in_place};
};

response_reader::response_reader() : holder_{std::make_unique<holder>()} {}

response_reader::~response_reader() = default;

response_reader::parser& response_reader::now() const noexcept {
    return *holder_->current;
}

void response_reader::restart() {
    holder_->current.emplace();
    fault_.clear();
}

std::size_t response_reader::take(std::string_view bytes) {
    if (now().is_done() || !fault_.empty()) return 0;
    error_code failure;
    const std::size_t taken =
        now().put(boost::asio::const_buffer{bytes.data(), bytes.size()}, failure);
    if (failure && failure != beast::http::error::need_more) fault_ = failure.message();
    return taken;
}

const std::string& response_reader::fault() const noexcept {
    return fault_;
}

bool response_reader::head_done() const noexcept {
    return now().is_header_done();
}

int response_reader::status() const noexcept {
    return now().code;
}

const std::string& response_reader::location() const noexcept {
    return now().location;
}

std::optional<std::chrono::milliseconds> response_reader::retry_after() const noexcept {
    return now().retry_after;
}

std::optional<std::chrono::seconds> response_reader::idle_timeout() const noexcept {
    return now().idle_timeout;
}

bool response_reader::keeps_connection() const noexcept {
    return now().keep_alive();
}

std::uint64_t response_reader::body_left() const noexcept {
    return now().is_done() ? 0 : now().content_length_remaining().value_or(0);
}

std::uint64_t response_reader::body_taken() const noexcept {
    return now().body_taken;
}

bool response_reader::done() const noexcept {
    return now().is_done();
}

std::string_view status_name(int status) noexcept {
    const auto known = beast::http::int_to_status(static_cast<unsigned>(status));
    if (status < 100 || status > 599 || known == beast::http::status::unknown) return {};
    const auto name = beast::http::obsolete_reason(known);
    return {name.data(), name.size()};
}

}  // namespace walrelay::sink::http
