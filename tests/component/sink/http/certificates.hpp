// Keys and certificates made for one test.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <string>

namespace walrelay::test {

struct free_openssl {
    void operator()(X509* certificate) const { X509_free(certificate); }

    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

using server_tls = std::unique_ptr<SSL_CTX, free_openssl>;

/// A certificate with its key.
struct identity {
    std::unique_ptr<EVP_PKEY, free_openssl> key;
    std::unique_ptr<X509, free_openssl> certificate;
};

/// `names` as in a subjectAltName extension: "IP:127.0.0.1,DNS:hooks.example". Valid from a day
/// before until `valid` from now. Signed by `issuer`, or by itself; an empty `names` makes an
/// authority.
[[nodiscard]] identity make_identity(const std::string& common_name, const std::string& names,
                                     const identity* issuer = nullptr,
                                     std::chrono::seconds valid = std::chrono::hours{1});

/// A server with that identity; with `client_authority` it demands a certificate from there.
[[nodiscard]] server_tls make_server_tls(const identity& own,
                                         const identity* client_authority = nullptr);

/// Files in a folder of their own, which goes with this object.
class pem_files {
public:
    pem_files();
    ~pem_files();
    pem_files(const pem_files&) = delete;
    pem_files& operator=(const pem_files&) = delete;

    [[nodiscard]] std::string certificate(const identity& of, const std::string& name) const;
    [[nodiscard]] std::string key(const identity& of, const std::string& name) const;

private:
    std::string folder_;
};

}  // namespace walrelay::test
