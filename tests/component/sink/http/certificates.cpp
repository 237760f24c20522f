#include "certificates.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace walrelay::test {

namespace {

void require(bool done, const char* what) {
    if (!done) throw std::runtime_error(std::string{"OpenSSL: "} + what);
}

void add_extension(X509* certificate, int kind, const std::string& value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
    require(extension != nullptr, "extension");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

}  // namespace

identity make_identity(const std::string& common_name, const std::string& names,
                       const identity* issuer, std::chrono::seconds valid) {
    static std::atomic<long> serial = 1;
    identity made;
    made.key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    made.certificate.reset(X509_new());
    X509* const certificate = made.certificate.get();
    require(made.key && certificate, "key");
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(valid.count()));
    X509_set_pubkey(certificate, made.key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                               0);
    const X509* const signer = issuer != nullptr ? issuer->certificate.get() : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    if (names.empty()) {
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(certificate, NID_key_usage, "critical,keyCertSign");
    } else {
        add_extension(certificate, NID_subject_alt_name, names);
    }
    EVP_PKEY* const signing_key = issuer != nullptr ? issuer->key.get() : made.key.get();
    require(X509_sign(certificate, signing_key, EVP_sha256()) > 0, "sign");
    return made;
}

server_tls make_server_tls(const identity& own, const identity* client_authority) {
    server_tls context{SSL_CTX_new(TLS_server_method())};
    require(SSL_CTX_use_certificate(context.get(), own.certificate.get()) == 1, "certificate");
    require(SSL_CTX_use_PrivateKey(context.get(), own.key.get()) == 1, "private key");
    if (client_authority != nullptr) {
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           nullptr);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()),
                            client_authority->certificate.get());
    }
    return context;
}

pem_files::pem_files() {
    std::string name = (std::filesystem::temp_directory_path() / "walrelay-tls-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "temporary folder");
    folder_ = name;
}

pem_files::~pem_files() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::string pem_files::certificate(const identity& of, const std::string& name) const {
    const std::string path = folder_ + "/" + name;
    std::FILE* const file = std::fopen(path.c_str(), "w");
    require(file != nullptr && PEM_write_X509(file, of.certificate.get()) == 1,
            "write certificate");
    std::fclose(file);
    return path;
}

std::string pem_files::key(const identity& of, const std::string& name) const {
    const std::string path = folder_ + "/" + name;
    std::FILE* const file = std::fopen(path.c_str(), "w");
    require(file != nullptr && PEM_write_PrivateKey(file, of.key.get(), nullptr, nullptr, 0,
                                                    nullptr, nullptr) == 1,
            "write key");
    std::fclose(file);
    return path;
}

}  // namespace walrelay::test
