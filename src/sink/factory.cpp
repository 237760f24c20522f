#include "walrelay/sink/factory.hpp"

#include <variant>

#include "discard_sink.hpp"
#include "http/make.hpp"
#include "kafka/make.hpp"
#include "stdout_sink.hpp"

namespace walrelay::sink {

namespace {

struct opener {
    boost::asio::io_context& loop;
    const std::string& name;
    std::size_t index;
    const config::limits& limits;
    listener& events;

    result<std::unique_ptr<sink>> operator()(const config::kafka_sink& options) const {
        return make_kafka(loop, options, name, index, limits, events);
    }

    result<std::unique_ptr<sink>> operator()(const config::http_sink& options) const {
        return make_http(loop, options, name, index, limits, events);
    }

    result<std::unique_ptr<sink>> operator()(const config::stdout_sink&) const {
        return std::unique_ptr<sink>{std::make_unique<stdout_sink>(loop, name, index, events)};
    }

    result<std::unique_ptr<sink>> operator()(const config::discard_sink&) const {
        return std::unique_ptr<sink>{std::make_unique<discard_sink>()};
    }
};

}  // namespace

result<std::unique_ptr<sink>> make(boost::asio::io_context& loop, const config::sink& entry,
                                   std::size_t index, const config::limits& limits,
                                   listener& events) {
    return std::visit(opener{loop, entry.name, index, limits, events}, entry.kind);
}

}  // namespace walrelay::sink
