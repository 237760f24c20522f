#include "make.hpp"

#include <boost/asio/ssl/context.hpp>
#include <utility>

#include "http_sink.hpp"
#include "origin.hpp"
#include "plain_transport.hpp"
#include "request_writer.hpp"
#include "tls_settings.hpp"
#include "tls_transport.hpp"

namespace walrelay::sink {

result<std::unique_ptr<sink>> make_http(boost::asio::io_context& loop,
                                        const config::http_sink& options, const std::string& name,
                                        std::size_t index, const config::limits& limits,
                                        listener& events) {
    const auto placed = [&](error what) {
        what.object = "sinks." + name + ".http." + what.object;
        return what;
    };
    auto where = http::parse_origin(options.url);
    if (!where) return placed(where.error());
    auto writer = http::request_writer::make(options, *where, limits.event_bytes);
    if (!writer) return placed(writer.error());
    if (options.connections == 0)
        return placed({"read", "connections", "is 0: nothing would be sent", ""});

    http::connection_settings settings;
    settings.server = where->text();
    settings.timeout = options.timeout;
    settings.success = options.success;
    if (where->tls) {
        auto tls = http::make_tls_settings(options.tls);
        if (!tls) return placed(tls.error());
        const auto shared = std::make_shared<boost::asio::ssl::context>(std::move(tls).value());
        settings.make_transport = [&loop, shared, host = where->host](http::transport::user& who) {
            return http::make_tls_transport(loop, *shared, host, who);
        };
    } else {
        settings.make_transport =
            [&loop](http::transport::user& who) -> std::shared_ptr<http::transport> {
            return std::make_shared<http::plain_transport>(loop, who);
        };
    }
    return std::unique_ptr<sink>{std::make_unique<http::http_sink>(
        loop, *where, std::move(settings), std::move(writer).value(), options.connections,
        options.rate, index, events)};
}

}  // namespace walrelay::sink
