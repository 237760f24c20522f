#include "signing.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace walrelay::sink::http {

namespace {

constexpr std::string_view secret_prefix = "whsec_";
constexpr std::size_t hash_bytes = 32;

/// Standard alphabet; padding may be left out, as the specification's own libraries allow.
std::optional<std::vector<std::uint8_t>> decode_base64(std::string_view text) {
    while (!text.empty() && text.back() == '=')
        text.remove_suffix(1);
    std::string padded{text};
    const std::size_t padding = (4 - padded.size() % 4) % 4;
    if (padded.empty() || padding == 3) return std::nullopt;
    padded.append(padding, '=');
    std::vector<std::uint8_t> bytes(padded.size() / 4 * 3);
    const int size =
        EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(padded.data()),
                        static_cast<int>(padded.size()));
    OPENSSL_cleanse(padded.data(), padded.size());
    if (size < 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(size) - padding);
    return bytes;
}

struct free_mac {
    void operator()(EVP_MAC* mac) const noexcept { EVP_MAC_free(mac); }

    void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
};

std::unique_ptr<EVP_MAC_CTX, free_mac> sha256_context(const std::vector<std::uint8_t>& key) {
    const std::unique_ptr<EVP_MAC, free_mac> mac{EVP_MAC_fetch(nullptr, "HMAC", nullptr)};
    if (!mac) return nullptr;
    std::unique_ptr<EVP_MAC_CTX, free_mac> context{EVP_MAC_CTX_new(mac.get())};
    std::string digest = "SHA256";
    const std::array<OSSL_PARAM, 2> settings{
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_end()};
    if (!context || EVP_MAC_init(context.get(), key.data(), key.size(), settings.data()) != 1)
        return nullptr;
    return context;
}

}  // namespace

/// Keyed once: OpenSSL keeps the two inner states of HMAC, so a signature costs no key schedule.
struct signer::keyed_hash {
    std::unique_ptr<EVP_MAC_CTX, free_mac> context;

    bool sign(std::string_view id, std::string_view timestamp, std::string_view body,
              std::array<unsigned char, hash_bytes>& out) const {
        const auto add = [&](std::string_view part) {
            return EVP_MAC_update(context.get(),
                                  reinterpret_cast<const unsigned char*>(part.data()),
                                  part.size()) == 1;
        };
        std::size_t size = 0;
        return EVP_MAC_init(context.get(), nullptr, 0, nullptr) == 1 && add(id) && add(".") &&
               add(timestamp) && add(".") && add(body) &&
               EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1 &&
               size == out.size();
    }
};

result<signer> signer::make(const std::vector<std::string>& secrets) {
    std::vector<std::unique_ptr<keyed_hash>> keys;
    for (std::size_t i = 0; i < secrets.size(); ++i) {
        const auto refuse = [&](const char* cause, const char* hint) {
            return error{"read", "signing secret " + std::to_string(i + 1), cause, hint};
        };
        const std::string_view secret = secrets[i];
        if (secret.substr(0, secret_prefix.size()) != secret_prefix) {
            return refuse("does not begin with whsec_",
                          "a secret is \"whsec_\" and the base64 of 24 to 64 bytes");
        }
        auto key = decode_base64(secret.substr(secret_prefix.size()));
        if (!key)
            return refuse("what follows whsec_ is not base64",
                          "make one: echo whsec_$(openssl rand -base64 32)");
        auto context = sha256_context(*key);
        OPENSSL_cleanse(key->data(), key->size());
        if (!context) return refuse("OpenSSL offers no HMAC-SHA256", "");
        keys.push_back(std::make_unique<keyed_hash>(keyed_hash{std::move(context)}));
    }
    return signer{std::move(keys)};
}

signer::signer(std::vector<std::unique_ptr<keyed_hash>> keys) : keys_{std::move(keys)} {}

signer::signer(signer&&) noexcept = default;
signer& signer::operator=(signer&&) noexcept = default;
signer::~signer() = default;

bool signer::append(std::string& out, std::string_view id, std::string_view timestamp,
                    std::string_view body) const {
    const std::size_t before = out.size();
    for (const auto& key : keys_) {
        std::array<unsigned char, hash_bytes> hash{};
        if (!key->sign(id, timestamp, body, hash)) {
            out.resize(before);
            return false;
        }
        std::array<unsigned char, (hash_bytes + 2) / 3 * 4 + 1> text{};  // and a NUL
        const int size = EVP_EncodeBlock(text.data(), hash.data(), hash_bytes);
        if (out.size() != before) out += ' ';
        out += "v1,";
        out.append(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(size));
    }
    return true;
}

}  // namespace walrelay::sink::http
