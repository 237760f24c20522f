#include "tls_transport.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "plain_transport.hpp"

namespace walrelay::sink::http {

namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;
using engine::outcome_class;

/// A large request is not kept until the next.
constexpr std::size_t limit_kept_bytes = 64 * 1024;

/// What the two sides do not agree on stays so until somebody changes a file or a setting;
/// everything else
/// ("internal error", a cut connection) may be gone at the next attempt.
bool is_refusal(const error_code& failure) noexcept {
    if (failure.category() != boost::asio::error::get_ssl_category()) return false;
    switch (ERR_GET_REASON(static_cast<unsigned long>(failure.value()))) {
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
        case SSL_R_TLSV1_UNRECOGNIZED_NAME:
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            return true;
        default:
            return false;
    }
}

class tls_transport final : public transport {
public:
    tls_transport(boost::asio::io_context& loop, ssl::context& settings, const std::string& host,
                  user& who)
        : transport{who}, host_{host}, stream_{tcp_socket{loop.get_executor()}, settings} {}

    void open(const tcp::endpoint& address) override {
        const auto self = shared();
        stream_.next_layer().async_connect(address, [self](const error_code& failure) {
            if (self->user_ == nullptr) return;
            if (failure)
                return self->user_->on_broken({outcome_class::transient, cause_of(failure)});
            error_code ignored;
            self->stream_.next_layer().set_option(tcp::no_delay{true}, ignored);
            self->shake_hands();
        });
    }

    void write(std::string_view head, std::string_view body) override {
        output_.assign(head).append(body);
        write_state_ = writing::under_way;
        const auto self = shared();
        boost::asio::async_write(
            stream_, boost::asio::buffer(output_), [self](const error_code& failure, std::size_t) {
                if (self->user_ == nullptr) return;
                self->write_state_ = failure ? writing::failed : writing::done;
                if (self->output_.capacity() > limit_kept_bytes) self->output_ = {};
                error_code ignored;
                if (failure) {
                    self->stream_.next_layer().shutdown(tcp::socket::shutdown_both, ignored);
                }
                self->user_->on_written();
            });
    }

    void read() override {
        const auto self = shared();
        stream_.async_read_some(room(), [self](const error_code& failure, std::size_t size) {
            if (self->user_ == nullptr) return;
            if (failure) return self->user_->on_broken(self->explain(failure));
            self->grow(size);
            self->user_->on_input();
        });
    }

    bool readable() override { return has_input(stream_.next_layer()); }

    /// One read gives one record; Asio may have taken those behind it out of the socket already.
    bool has_more() override {
        SSL* const session = stream_.native_handle();
        return SSL_has_pending(session) == 1 || BIO_ctrl_pending(SSL_get_rbio(session)) > 0 ||
               readable();
    }

    void close() noexcept override {
        user_ = nullptr;
        error_code ignored;
        stream_.next_layer().close(ignored);
    }

private:
    std::shared_ptr<tls_transport> shared() {
        return std::static_pointer_cast<tls_transport>(shared_from_this());
    }

    void shake_hands() {
        if (!expect_host())
            return user_->on_broken({outcome_class::endpoint, "OpenSSL refuses the host name"});
        const auto self = shared();
        stream_.async_handshake(ssl::stream_base::client, [self](const error_code& failure) {
            if (self->user_ == nullptr) return;
            if (failure) return self->user_->on_broken(self->explain(failure));
            self->user_->on_open();
        });
    }

    /// OpenSSL's own check of the name, not Asio's callback: it tells a wrong name from a bad
    /// chain.
    bool expect_host() {
        SSL* const session = stream_.native_handle();
        error_code not_an_address;
        boost::asio::ip::make_address(host_, not_an_address);
        if (!not_an_address)
            return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host_.c_str()) == 1;
        SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        return SSL_set1_host(session, host_.c_str()) == 1 &&
               SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                        const_cast<char*>(host_.c_str())) == 1;
    }

    breakdown explain(const error_code& failure) {
        if (failure == boost::asio::error::eof || failure == ssl::error::stream_truncated) {
            return {outcome_class::transient, cause_of(boost::asio::error::eof)};
        }
        const long verdict = SSL_get_verify_result(stream_.native_handle());
        if (is_refusal(failure) && verdict != X509_V_OK) {
            return {outcome_class::endpoint, "the certificate of " + host_ + " is not accepted: " +
                                                 X509_verify_cert_error_string(verdict)};
        }
        return {is_refusal(failure) ? outcome_class::endpoint : outcome_class::transient,
                "TLS with " + host_ + ": " + failure.message()};
    }

    const std::string host_;
    ssl::stream<tcp_socket> stream_;
    std::string output_;
};

}  // namespace

std::shared_ptr<transport> make_tls_transport(boost::asio::io_context& loop, ssl::context& settings,
                                              const std::string& host, transport::user& who) {
    return std::make_shared<tls_transport>(loop, settings, host, who);
}

}  // namespace walrelay::sink::http
