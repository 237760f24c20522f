// librdkafka's objects with one owner each.
#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>

namespace walrelay::sink::kafka {

/// Calls the C function that frees an object.
template <auto Free>
struct freed_by {
    template <class T>
    void operator()(T* object) const noexcept {
        Free(object);
    }
};

using conf_ptr = std::unique_ptr<rd_kafka_conf_t, freed_by<rd_kafka_conf_destroy>>;
using config_resource_ptr =
    std::unique_ptr<rd_kafka_ConfigResource_t, freed_by<rd_kafka_ConfigResource_destroy>>;
using event_ptr = std::unique_ptr<rd_kafka_event_t, freed_by<rd_kafka_event_destroy>>;
using headers_ptr = std::unique_ptr<rd_kafka_headers_t, freed_by<rd_kafka_headers_destroy>>;
using queue_ptr = std::unique_ptr<rd_kafka_queue_t, freed_by<rd_kafka_queue_destroy>>;
using topic_ptr = std::unique_ptr<rd_kafka_topic_t, freed_by<rd_kafka_topic_destroy>>;
/// Its end joins librdkafka's threads: it may take as long as a name look-up.
using producer_ptr = std::unique_ptr<rd_kafka_t, freed_by<rd_kafka_destroy>>;

}  // namespace walrelay::sink::kafka
