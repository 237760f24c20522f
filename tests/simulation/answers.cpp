#include "simulation/answers.hpp"

#include <chrono>
#include <stdexcept>
#include <string>
#include <variant>

#include "sink/http/retry_after.hpp"
#include "sink/http/status_outcome.hpp"
#include "sink/kafka/error_class.hpp"

namespace walrelay::simulation {

namespace {

using what = engine::outcome_class;

template <std::size_t Count>
int one_of(const int (&all)[Count], std::size_t pick) {
    return all[pick % Count];
}

/// 0: no answer says it.
int status_of(what meant, std::size_t pick) {
    switch (meant) {
        case what::delivered:
            return one_of({200, 201, 202, 204}, pick);
        case what::transient:
            return one_of({408, 425, 429, 500, 502, 503, 504, 599}, pick);
        case what::target:
            return one_of({404, 405, 410, 421}, pick);
        case what::endpoint:
            return one_of({301, 302, 307, 401, 403, 407}, pick);
        case what::event:
            return one_of({400, 402, 409, 413, 422, 499}, pick);
        case what::unknown:
            return one_of({205, 206, 226}, pick);  // `success` leaves them out
        case what::event_final:
        case what::batch:
            break;
    }
    return 0;
}

/// Unknown is also what newer brokers say and librdkafka has no name for (200).
int code_of(what meant, std::size_t pick) {
    switch (meant) {
        case what::delivered:
            return RD_KAFKA_RESP_ERR_NO_ERROR;
        case what::transient:
            return one_of(
                {RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
                 RD_KAFKA_RESP_ERR__PURGE_QUEUE, RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
                 RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                 RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                 RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                 RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR},
                pick);
        case what::target:
            return one_of({RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
                           RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
                           RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED},
                          pick);
        case what::endpoint:
            return one_of({RD_KAFKA_RESP_ERR__SSL, RD_KAFKA_RESP_ERR__AUTHENTICATION,
                           RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
                           RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED},
                          pick);
        case what::batch:
            return one_of({RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_RECORD,
                           RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, RD_KAFKA_RESP_ERR_POLICY_VIOLATION},
                          pick);
        case what::event_final:
            return RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
        case what::unknown:
            return one_of({200, RD_KAFKA_RESP_ERR_UNKNOWN, RD_KAFKA_RESP_ERR__FAIL}, pick);
        case what::event:
            break;
    }
    throw std::logic_error("no code of Kafka means this");
}

engine::outcome read_by_http(const config::http_sink& to, const engine::outcome& meant,
                             std::size_t pick) {
    using namespace std::chrono;
    sink::http::answer got;
    got.status = status_of(meant.what, pick);
    if (got.status == 0) return meant;
    if (meant.retry_after) {
        const auto waits = ceil<seconds>(*meant.retry_after).count();
        got.retry_after = sink::http::parse_retry_after(std::to_string(waits), {});
    }
    return sink::http::outcome_of(got, to.success);
}

}  // namespace

engine::outcome as_read(const config::sink& to, const engine::outcome& meant, std::size_t pick) {
    if (const auto* http = std::get_if<config::http_sink>(&to.kind))
        return read_by_http(*http, meant, pick);
    const auto code = static_cast<rd_kafka_resp_err_t>(code_of(meant.what, pick));
    return sink::kafka::classify(code, "orders");
}

}  // namespace walrelay::simulation
