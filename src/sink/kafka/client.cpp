#include "client.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include "topic_name.hpp"

namespace walrelay::sink::kafka {

namespace {

/// Reports of one turn. One event of librdkafka held 10,000 and more; the loop also has the
/// replication stream, its feedback and the HTTP sinks to serve.
constexpr int reports_a_turn = 2'000;
/// Topic names come from rows; handles are kept, but not without end.
constexpr std::size_t most_topics = 4'096;

static_assert(sizeof(void*) >= sizeof(std::uint64_t), "an attempt token travels as a pointer");

void* as_opaque(engine::attempt_token token) noexcept {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(token.packed()));
}

/// librdkafka takes pointers to non-const and only reads through them. Null is a null key or value;
/// an empty one must point somewhere.
rd_kafka_vu_t bytes_of(rd_kafka_vtype_t type,
                       const std::optional<std::string_view>& bytes) noexcept {
    rd_kafka_vu_t argument{};
    argument.vtype = type;
    if (bytes) {
        argument.u.mem.ptr = const_cast<char*>(bytes->data() ? bytes->data() : "");
        argument.u.mem.size = bytes->size();
    }
    return argument;
}

}  // namespace

result<std::unique_ptr<client>> client::open(boost::asio::io_context& loop,
                                             const rd_kafka_conf_t& conf, std::size_t batch_bytes,
                                             const std::string& sink_name, observer& told) {
    const auto failed = [&](std::string cause) {
        return error{"start the Kafka sink", "\"" + sink_name + "\"", std::move(cause),
                     "correct sinks." + sink_name + ".kafka.properties"};
    };
    conf_ptr copy(rd_kafka_conf_dup(&conf));
    std::array<char, 512> text{};
    if (batch_bytes > 0 &&
        rd_kafka_conf_set(copy.get(), "batch.size", std::to_string(batch_bytes).c_str(),
                          text.data(), text.size()) != RD_KAFKA_CONF_OK) {
        return failed(text.data());
    }
    producer_ptr producer(rd_kafka_new(RD_KAFKA_PRODUCER, copy.get(), text.data(), text.size()));
    if (!producer) return failed(text.data());
    static_cast<void>(copy.release());  // the producer's from here on

    const int wakeup = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wakeup < 0) return failed("eventfd: " + std::generic_category().message(errno));
    std::unique_ptr<client> made(new client(loop, std::move(producer), told));
    made->wakeup_.assign(wakeup);
    const std::uint64_t one = 1;
    rd_kafka_queue_io_event_enable(made->queue_.get(), wakeup, &one, sizeof one);
    // What was queued before the eventfd was known wakes nobody: look once.
    auto first_look = [raw = made.get(), alive = std::weak_ptr(made->alive_)] {
        if (!alive.expired()) raw->serve();
    };
    boost::asio::post(loop, std::move(first_look));
    return made;
}

client::client(boost::asio::io_context& loop, producer_ptr producer, observer& told)
    : loop_(loop), told_(told), producer_(std::move(producer)), wakeup_(loop) {
    rd_kafka_set_log_queue(producer_.get(), nullptr);  // to the main queue
    queue_.reset(rd_kafka_queue_get_main(producer_.get()));
}

client::~client() {
    if (!producer_) return;
    rd_kafka_purge(producer_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                        RD_KAFKA_PURGE_F_NON_BLOCKING);
    if (purger_.joinable()) purger_.join();
    close();
    producer_.reset();
}

rd_kafka_topic_t* client::topic(std::string_view name, std::string& fault) {
    if (last_topic_ && name == last_name_) return last_topic_;
    auto found = topics_.find(name);
    if (found == topics_.end()) {
        if (auto why = topic_name_fault(name)) {
            fault = std::move(*why);
            return nullptr;
        }
        // Dropping a handle loses nothing: librdkafka keeps a topic that has records in flight.
        if (topics_.size() >= most_topics) topics_.clear();
        last_topic_ = nullptr;
        std::string owned(name);
        topic_ptr made(rd_kafka_topic_new(producer_.get(), owned.c_str(), nullptr));
        if (!made) {
            fault = "topic \"" + owned + "\": " + rd_kafka_err2str(rd_kafka_last_error());
            return nullptr;
        }
        found = topics_.emplace(std::move(owned), std::move(made)).first;
    }
    last_name_ = found->first;
    last_topic_ = found->second.get();
    return last_topic_;
}

rd_kafka_resp_err_t client::produce(rd_kafka_topic_t* topic, engine::attempt_token token,
                                    const event::record& record, headers_ptr headers) {
    std::array<rd_kafka_vu_t, 6> arguments{};
    arguments[0].vtype = RD_KAFKA_VTYPE_RKT;
    arguments[0].u.rkt = topic;
    arguments[1] = bytes_of(RD_KAFKA_VTYPE_KEY, record.key);
    arguments[2] = bytes_of(RD_KAFKA_VTYPE_VALUE, record.body);
    arguments[3].vtype = RD_KAFKA_VTYPE_HEADERS;
    arguments[3].u.headers = headers.get();
    arguments[4].vtype = RD_KAFKA_VTYPE_OPAQUE;
    arguments[4].u.ptr = as_opaque(token);
    arguments[5].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    arguments[5].u.i = record.body_in_frame ? 0 : RD_KAFKA_MSG_F_COPY;

    rd_kafka_error_t* refused =
        rd_kafka_produceva(producer_.get(), arguments.data(), arguments.size());
    if (!refused) {
        static_cast<void>(headers.release());  // the record's, now
        ++pending_;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    // A dead producer answers with the error that it died of.
    const rd_kafka_resp_err_t code = rd_kafka_error_is_fatal(refused) != 0
                                         ? RD_KAFKA_RESP_ERR__FATAL
                                         : rd_kafka_error_code(refused);
    rd_kafka_error_destroy(refused);
    return code;
}

void client::ask_limit(const char* topic) {
    const config_resource_ptr resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic));
    rd_kafka_ConfigResource_t* asked = resource.get();
    rd_kafka_DescribeConfigs(producer_.get(), &asked, 1, nullptr, queue_.get());
}

void client::purge() {
    if (std::exchange(purging_, true)) return;
    auto over = [this, alive = std::weak_ptr(alive_)] {
        if (alive.expired()) return;
        purging_ = false;
        told_.on_turn_end();
    };
    purger_ = std::jthread([producer = producer_.get(), over = std::move(over), &loop = loop_] {
        rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        boost::asio::post(loop, over);
    });
}

rd_kafka_resp_err_t client::fatal_error(std::string& text) const {
    std::array<char, 512> buffer{};
    const auto code = rd_kafka_fatal_error(producer_.get(), buffer.data(), buffer.size());
    text = buffer.data();
    return code;
}

bool client::is_dead() const {
    return rd_kafka_fatal_error(producer_.get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

producer_ptr client::release() {
    close();
    return std::move(producer_);
}

void client::close() noexcept {
    rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0);
    boost::system::error_code ignored;
    wakeup_.close(ignored);
    event_.reset();
    last_topic_ = nullptr;
    topics_.clear();
    queue_.reset();
}

void client::wait() {
    auto woken = [this, alive = std::weak_ptr(alive_)](const boost::system::error_code& failed) {
        if (failed || alive.expired()) return;
        serve();
    };
    wakeup_.async_wait(boost::asio::posix::stream_descriptor::wait_read, std::move(woken));
}

/// The eventfd is drained first, the queue polled after it: librdkafka writes once until somebody
/// polls, so the other way round a wake-up that comes between the two is lost, and with it all
/// later ones.
void client::serve() {
    std::uint64_t written = 0;
    [[maybe_unused]] const auto got = ::read(wakeup_.native_handle(), &written, sizeof written);
    if (serve_portion()) {
        auto go_on = [this, alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) serve();
        };
        boost::asio::post(loop_, std::move(go_on));
    } else {
        wait();
    }
    told_.on_turn_end();
}

/// True if there may be more.
bool client::serve_portion() {
    for (int left = reports_a_turn; left > 0;) {
        if (!event_) {
            event_.reset(rd_kafka_queue_poll(queue_.get(), 0));
            if (!event_) return false;
        }
        if (rd_kafka_event_type(event_.get()) != RD_KAFKA_EVENT_DR) {
            serve_other(*event_);
            event_.reset();
            --left;
            continue;
        }
        const std::size_t most = std::min(reports_at_once, static_cast<std::size_t>(left));
        const std::size_t count = serve_reports(*event_, most);
        left -= static_cast<int>(count);
        if (count < most) event_.reset();
    }
    return true;
}

std::size_t client::serve_reports(rd_kafka_event_t& event, std::size_t most) {
    std::array<const rd_kafka_message_t*, reports_at_once> reports;
    const std::size_t count = rd_kafka_event_message_array(&event, reports.data(), most);
    pending_ -= count;
    if (count > 0) told_.on_reports({reports.data(), count});
    return count;
}

void client::serve_other(rd_kafka_event_t& event) {
    switch (rd_kafka_event_type(&event)) {
        case RD_KAFKA_EVENT_ERROR:
            told_.on_error(rd_kafka_event_error(&event), rd_kafka_event_error_string(&event));
            break;
        case RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT:
            serve_limits(event);
            break;
        case RD_KAFKA_EVENT_LOG:
            serve_log(event);
            break;
        default:
            break;
    }
}

/// Nothing but its log tells of new partitions. What else a log line says, an error event says in
/// fewer words.
void client::serve_log(rd_kafka_event_t& event) {
    const char* facility = nullptr;
    const char* text = nullptr;
    int level = 0;
    if (rd_kafka_event_log(&event, &facility, &text, &level) != 0) return;
    if (std::string_view(facility) == "PARTCNT") told_.on_partitions_changed(text);
}

/// Without the right to read a topic's configuration the answer is an error, and nothing is told.
void client::serve_limits(rd_kafka_event_t& event) {
    const rd_kafka_DescribeConfigs_result_t* answer = rd_kafka_event_DescribeConfigs_result(&event);
    std::size_t topics = 0;
    const rd_kafka_ConfigResource_t** resources =
        rd_kafka_DescribeConfigs_result_resources(answer, &topics);
    for (std::size_t t = 0; t < topics; ++t) {
        if (rd_kafka_ConfigResource_error(resources[t]) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
        std::size_t entries = 0;
        const rd_kafka_ConfigEntry_t** configs =
            rd_kafka_ConfigResource_configs(resources[t], &entries);
        for (std::size_t e = 0; e < entries; ++e) {
            const char* value = rd_kafka_ConfigEntry_value(configs[e]);
            if (!value ||
                std::string_view(rd_kafka_ConfigEntry_name(configs[e])) != "max.message.bytes") {
                continue;
            }
            const std::string_view text(value);
            std::size_t bytes = 0;
            std::from_chars(text.data(), text.data() + text.size(), bytes);
            if (bytes > 0) told_.on_topic_limit(rd_kafka_ConfigResource_name(resources[t]), bytes);
        }
    }
}

}  // namespace walrelay::sink::kafka
