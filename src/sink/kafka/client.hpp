// One librdkafka producer on the loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "handles.hpp"
#include "walrelay/core/result.hpp"
#include "walrelay/engine/outcome.hpp"
#include "walrelay/event/record.hpp"

namespace walrelay::sink::kafka {

/// A producer, its topics and its main queue. librdkafka's threads reach the loop through one
/// eventfd and nothing else: no callback of ours ever runs on them. All calls are for the loop's
/// thread.
class client {
public:
    static constexpr std::size_t reports_at_once = 64;

    /// Told from a turn of the loop, never from inside a call to the client.
    class observer {
    public:
        /// Records are done with, each that produce() took once: at most reports_at_once, good
        /// during the call.
        virtual void on_reports(std::span<const rd_kafka_message_t* const> reports) = 0;
        /// Something that is not about one record: a broker, authentication, a fatal error
        /// (_FATAL).
        virtual void on_error(rd_kafka_resp_err_t code, std::string_view text) = 0;
        /// The answer to ask_limit(): max.message.bytes of a topic. Nothing is told if there is
        /// none.
        virtual void on_topic_limit(std::string_view topic, std::size_t bytes) = 0;
        /// A topic has another number of partitions than before, in librdkafka's words.
        virtual void on_partitions_changed(std::string_view text) = 0;
        /// After a portion of the above. Last in a turn: may destroy the client.
        virtual void on_turn_end() = 0;

    protected:
        ~observer() = default;
    };

    /// `conf` is copied; the copy has `batch_bytes` as its batch.size, unless that is 0. Fails with
    /// librdkafka's text where the properties contradict each other.
    static result<std::unique_ptr<client>> open(boost::asio::io_context& loop,
                                                const rd_kafka_conf_t& conf,
                                                std::size_t batch_bytes,
                                                const std::string& sink_name, observer& told);

    client(const client&) = delete;
    client& operator=(const client&) = delete;
    /// Gives up every record and returns when librdkafka holds no pointer into a body any more.
    ~client();

    /// The topic of that name, whether it exists or not; null if the name isn't one (`fault` says
    /// why).
    [[nodiscard]] rd_kafka_topic_t* topic(std::string_view name, std::string& fault);

    /// Hands a record over. The body is not copied when body_in_frame.
    [[nodiscard]] rd_kafka_resp_err_t produce(rd_kafka_topic_t* topic, engine::attempt_token token,
                                              const event::record& record, headers_ptr headers);

    /// Asks the broker how large a batch of that topic may be. The answer may be refused, too.
    void ask_limit(const char* topic);

    /// Gives up what has no report yet, in librdkafka's queues and on the wire; the reports follow.
    /// A turn's end follows when it is over.
    void purge();

    /// A purge is under way: it would give up what is handed over now, too.
    [[nodiscard]] bool purging() const noexcept { return purging_; }

    /// Records without a report.
    [[nodiscard]] std::size_t pending() const noexcept { return pending_; }

    /// Reports are still to be handled, be it of records that are no longer pending: librdkafka
    /// counts a record in its queue until then.
    [[nodiscard]] bool queue_in_use() const noexcept { return pending_ > 0 || event_ != nullptr; }

    /// The error that made the producer unusable; NO_ERROR if none.
    [[nodiscard]] rd_kafka_resp_err_t fatal_error(std::string& text) const;
    [[nodiscard]] bool is_dead() const;

    /// Takes the producer out; its end may block and is the caller's. Only when nothing is pending,
    /// and no purge under way.
    [[nodiscard]] producer_ptr release();

private:
    client(boost::asio::io_context& loop, producer_ptr producer, observer& told);

    void wait();
    void serve();
    [[nodiscard]] bool serve_portion();
    std::size_t serve_reports(rd_kafka_event_t& event, std::size_t most);
    void serve_other(rd_kafka_event_t& event);
    void serve_log(rd_kafka_event_t& event);
    void serve_limits(rd_kafka_event_t& event);
    void close() noexcept;

    boost::asio::io_context& loop_;
    observer& told_;
    producer_ptr producer_;
    queue_ptr queue_;
    boost::asio::posix::stream_descriptor wakeup_;  ///< an eventfd that librdkafka writes to
    event_ptr event_;                               ///< reports that are being handled
    std::map<std::string, topic_ptr, std::less<>> topics_;
    std::string_view last_name_;  ///< into topics_; rows of one topic mostly follow each other
    rd_kafka_topic_t* last_topic_ = nullptr;
    std::size_t pending_ = 0;
    bool purging_ = false;
    /// Handlers that are queued in the loop hold a weak copy: they find out that the client is
    /// gone.
    std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
    /// Waits for a purge: each broker's thread has its part in it, and one may be looking up a
    /// name.
    std::jthread purger_;
};

}  // namespace walrelay::sink::kafka
