#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <string_view>
#include <utility>

#include "origin.hpp"
#include "tls_settings.hpp"
#include "walrelay/core/escape.hpp"
#include "walrelay/sink/inspection.hpp"

namespace walrelay::sink {

namespace {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using step = http_facts::step;
using certificate_fault = http_facts::certificate_fault;

/// With TLS 1.3 the client is done before the server has looked at the client's certificate: its
/// refusal comes, if at all, right after.
constexpr milliseconds last_word{300};

std::optional<std::chrono::seconds> time_left(const X509* certificate) {
    if (certificate == nullptr) return std::nullopt;
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate)) != 1)
        return std::nullopt;
    return std::chrono::hours{24} * days + std::chrono::seconds{seconds};
}

certificate_fault fault_of(long verdict) {
    switch (verdict) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return certificate_fault::other_name;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
            return certificate_fault::unknown_authority;
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return certificate_fault::time;
        default:
            return certificate_fault::other;
    }
}

/// Runs one step after the other on a loop of its own, each by the same deadline.
class caller {
public:
    caller(http_facts& found, milliseconds patience)
        : found_(found), ends_(steady_clock::now() + patience) {}

    void call(const http::origin& where, ssl::context& settings) {
        tcp::resolver::results_type addresses;
        if (!resolve(where, addresses)) return;
        ssl::stream<tcp::socket> stream{loop_, settings};
        const error_code failure = finish([&](auto done) {
            asio::async_connect(stream.next_layer(), addresses,
                                [done](const error_code& why, const tcp::endpoint&) { done(why); });
        });
        if (failure) return fail(step::connect, failure);
        if (where.tls) shake_hands(where, stream);
    }

private:
    bool resolve(const http::origin& where, tcp::resolver::results_type& addresses) {
        tcp::resolver resolver{loop_};
        const error_code failure = finish([&](auto done) {
            resolver.async_resolve(
                where.host, std::to_string(where.port), tcp::resolver::numeric_service,
                [done, &addresses](const error_code& why, tcp::resolver::results_type got) {
                    addresses = std::move(got);
                    done(why);
                });
        });
        if (failure) fail(step::resolve, failure);
        return !failure;
    }

    void shake_hands(const http::origin& where, ssl::stream<tcp::socket>& stream) {
        SSL* const session = stream.native_handle();
        error_code not_an_address;
        asio::ip::make_address(where.host, not_an_address);
        bool named = false;
        if (!not_an_address) {
            named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), where.host.c_str()) == 1;
        } else {
            SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
            named = SSL_set1_host(session, where.host.c_str()) == 1 &&
                    SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                             const_cast<char*>(where.host.c_str())) == 1;
        }
        if (!named) {
            found_.failed_at = step::handshake;
            found_.fault = "OpenSSL refuses the host name";
            return;
        }
        const error_code failure =
            finish([&](auto done) { stream.async_handshake(ssl::stream_base::client, done); });
        X509* const certificate = SSL_get1_peer_certificate(session);
        found_.server_certificate_left = time_left(certificate);
        X509_free(certificate);
        if (failure) {
            const long verdict = SSL_get_verify_result(session);
            if (verdict == X509_V_OK) return fail(step::handshake, failure);
            found_.failed_at = step::handshake;
            found_.refused = fault_of(verdict);
            found_.fault = X509_verify_cert_error_string(verdict);
            return;
        }
        hear_refusal(stream);
    }

    void hear_refusal(ssl::stream<tcp::socket>& stream) {
        std::array<char, 1> nothing_expected{};
        ends_ = std::min(ends_, steady_clock::now() + last_word);
        const error_code failure = finish([&](auto done) {
            stream.async_read_some(asio::buffer(nothing_expected),
                                   [done](const error_code& why, std::size_t) { done(why); });
        });
        // Silence is what a server does that waits for a request.
        if (failure == asio::error::eof || failure == ssl::error::stream_truncated ||
            failure == asio::error::connection_reset) {
            found_.failed_at = step::handshake;
            found_.fault = "it closes the connection right after the handshake";
        } else if (failure.category() == asio::error::get_ssl_category()) {
            fail(step::handshake, failure);
        }
    }

    void fail(step where, const error_code& failure) {
        found_.failed_at = where;
        found_.fault =
            printable(failure == asio::error::timed_out ? std::string{"no answer in time"}
                                                        : failure.message(),
                      200);
    }

    /// Starts an operation and runs the loop until it has ended, or time is up. What is left then
    /// is dropped with the loop: handlers that never ran touch nothing.
    template <class Start>
    error_code finish(Start start) {
        auto ended = std::make_shared<std::optional<error_code>>();
        start([ended](const error_code& failure) { *ended = failure; });
        loop_.restart();
        while (!*ended && loop_.run_one_until(ends_) > 0) {
        }
        return ended->value_or(asio::error::timed_out);
    }

    asio::io_context loop_{1};
    http_facts& found_;
    steady_clock::time_point ends_;
};

}  // namespace

http_facts inspect_http(const config::http_sink& entry, milliseconds patience) {
    http_facts found;
    const auto where = http::parse_origin(entry.url);
    if (where.has_error()) {
        found.failed_at = step::settings;
        found.fault = where.error().text();
        return found;
    }
    found.endpoint = where->text();
    found.tls = where->tls;
    auto settings = http::make_tls_settings(entry.tls);
    if (settings.has_error()) {
        found.failed_at = step::settings;
        found.fault = printable(settings.error().text(), 300);
        return found;
    }
    found.own_certificate_left = time_left(SSL_CTX_get0_certificate(settings->native_handle()));
    caller{found, patience}.call(*where, *settings);
    return found;
}

}  // namespace walrelay::sink
