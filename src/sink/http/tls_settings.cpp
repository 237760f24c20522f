#include "tls_settings.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string>
#include <utility>

namespace walrelay::sink::http {

namespace {

namespace ssl = boost::asio::ssl;

error refuse(std::string option, const std::string& file,
             const boost::system::error_code& failure) {
    return {"read", std::move(option), file + ": " + failure.message(),
            "a readable file in PEM format, keys without a passphrase"};
}

/// OpenSSL's own asks for it on the terminal, and waits.
int no_passphrase(char*, int, int, void*) {
    return 0;
}

}  // namespace

result<ssl::context> make_tls_settings(const config::tls_files& files) {
    ssl::context context{ssl::context::tls_client};
    // "ca md too weak", "no certificate or crl found": the queue of this thread may hold older
    // errors.
    ERR_clear_error();
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    SSL_CTX_set_mode(context.native_handle(),
                     SSL_MODE_RELEASE_BUFFERS);  // idle connections stay small
    context.set_verify_mode(ssl::verify_peer);

    boost::system::error_code failure;
    if (files.ca.empty()) {
        context.set_default_verify_paths(failure);
    } else {
        context.load_verify_file(files.ca, failure);
    }
    if (failure)
        return refuse("tls.ca", files.ca.empty() ? "the system's authorities" : files.ca, failure);

    if (files.certificate.empty() != files.key.empty()) {
        return error{"read", files.key.empty() ? "tls.key" : "tls.cert", "is missing",
                     "tls.cert and tls.key go together"};
    }
    if (files.certificate.empty()) return context;
    context.use_certificate_chain_file(files.certificate, failure);
    if (failure) return refuse("tls.cert", files.certificate, failure);
    SSL_CTX_set_default_passwd_cb(context.native_handle(), no_passphrase);
    context.use_private_key_file(files.key, ssl::context::pem, failure);
    if (failure) return refuse("tls.key", files.key, failure);
    if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
        return error{"read", "tls.key", files.key + ": is not the key of " + files.certificate, ""};
    }
    return context;
}

}  // namespace walrelay::sink::http
