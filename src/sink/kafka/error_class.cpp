#include "error_class.hpp"

#include <string>

#include "walrelay/core/escape.hpp"
#include "walrelay/core/planted.hpp"

namespace walrelay::sink::kafka {

namespace {

using engine::outcome_class;

/// Codes that librdkafka makes itself; all are below zero.
outcome_class class_of_local(int code) noexcept {
    switch (code) {
        // The connection, time, and our own purge. The producer's own state (fatal, inconsistent)
        // is here too: it is made anew and the record sent again.
        case RD_KAFKA_RESP_ERR__TRANSPORT:
        case RD_KAFKA_RESP_ERR__RESOLVE:
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        case RD_KAFKA_RESP_ERR__TIMED_OUT:
        case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
        case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
        case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        case RD_KAFKA_RESP_ERR__ISR_INSUFF:
        case RD_KAFKA_RESP_ERR__NODE_UPDATE:
        case RD_KAFKA_RESP_ERR__WAIT_COORD:
        case RD_KAFKA_RESP_ERR__WAIT_CACHE:
        case RD_KAFKA_RESP_ERR__IN_PROGRESS:
        case RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS:
        case RD_KAFKA_RESP_ERR__INTR:
        case RD_KAFKA_RESP_ERR__RETRY:
        case RD_KAFKA_RESP_ERR__DESTROY:
        case RD_KAFKA_RESP_ERR__OUTDATED:
        case RD_KAFKA_RESP_ERR__UNKNOWN_BROKER:
        case RD_KAFKA_RESP_ERR__BAD_MSG:
        case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
        case RD_KAFKA_RESP_ERR__UNDERFLOW:
        case RD_KAFKA_RESP_ERR__PARTIAL:
        case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE:
        case RD_KAFKA_RESP_ERR__FATAL:
        case RD_KAFKA_RESP_ERR__FENCED:
        case RD_KAFKA_RESP_ERR__INCONSISTENT:
        case RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE:
            if (planted(bug::lost_answer_counts_as_delivered)) return outcome_class::delivered;
            return outcome_class::transient;

        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
            return outcome_class::target;

        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR__SSL:
        case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
            return outcome_class::endpoint;

        default:
            return outcome_class::unknown;
    }
}

/// Codes of the protocol.
outcome_class class_of_broker(int code) noexcept {
    switch (code) {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            return outcome_class::delivered;

        case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
        case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
        case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
        case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
        case RD_KAFKA_RESP_ERR_STALE_CTRL_EPOCH:
        case RD_KAFKA_RESP_ERR_STALE_BROKER_EPOCH:
        case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
        case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
        case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
        case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
        case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
        case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
        case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
        case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
        case RD_KAFKA_RESP_ERR_LOG_DIR_NOT_FOUND:
        case RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS:
        case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
        case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
        case RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE:
        case RD_KAFKA_RESP_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE:
        case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
        // The idempotent producer lost its place. A fatal error follows where librdkafka can't mend
        // it.
        case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
        case RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER:
        case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
        case RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID:
        case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
        case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
            return outcome_class::transient;

        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
            if (planted(bug::missing_topic_blames_record)) return outcome_class::event_final;
            return outcome_class::target;

        case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_EXPIRED:
        case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
        case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
        case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
        case RD_KAFKA_RESP_ERR_UNACCEPTABLE_CREDENTIAL:
        case RD_KAFKA_RESP_ERR_PRINCIPAL_DESERIALIZATION_FAILURE:
        case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
        case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
        case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
            return outcome_class::endpoint;

        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        case RD_KAFKA_RESP_ERR_INVALID_MSG:
        case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
        case RD_KAFKA_RESP_ERR_INVALID_RECORD:
        case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
        case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
            if (planted(bug::refused_batch_blames_record)) return outcome_class::event_final;
            return outcome_class::batch;

        case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
            return outcome_class::event_final;

        default:
            if (planted(bug::new_code_may_pass)) return outcome_class::transient;
            return outcome_class::unknown;
    }
}

}  // namespace

engine::outcome_class class_of(rd_kafka_resp_err_t code) noexcept {
    // As numbers: newer versions of librdkafka add codes, and brokers send ones that it doesn't
    // name.
    const int number = code;
    return number < 0 ? class_of_local(number) : class_of_broker(number);
}

engine::outcome classify(rd_kafka_resp_err_t code, std::string_view topic) {
    engine::outcome outcome{.what = class_of(code)};
    if (outcome.what == outcome_class::delivered) return outcome;
    outcome.reason = "topic \"" + printable(topic) + "\": " + error_text(code);
    return outcome;
}

std::string error_text(rd_kafka_resp_err_t code) {
    return std::string(rd_kafka_err2str(code)) + " (" + rd_kafka_err2name(code) + ")";
}

std::string broker_text(std::string_view text, std::size_t longest) {
    return printable(text.substr(0, text.rfind(" (after ")), longest);
}

}  // namespace walrelay::sink::kafka
