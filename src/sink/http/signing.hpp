// Standard Webhooks signatures (standardwebhooks.com, 1.0.0, symmetric scheme "v1").
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "walrelay/core/result.hpp"

namespace walrelay::sink::http {

/// Signs with every secret it was made of, so that a receiver can change from one to the next
/// without a gap.
class signer {
public:
    /// Secrets as the sink map has them: "whsec_" and base64. The error tells which is wrong, never
    /// what it holds.
    [[nodiscard]] static result<signer> make(const std::vector<std::string>& secrets);

    signer(signer&&) noexcept;
    signer& operator=(signer&&) noexcept;
    ~signer();

    /// Appends the value of webhook-signature: for each secret "v1," and the base64 of HMAC-SHA256
    /// over `id`.`timestamp`.`body`, with a space between. All three are exactly what the request
    /// holds. False, with `out` unchanged, when OpenSSL fails; then nothing may be sent.
    [[nodiscard]] bool append(std::string& out, std::string_view id, std::string_view timestamp,
                              std::string_view body) const;

    [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }

private:
    struct keyed_hash;

    explicit signer(std::vector<std::unique_ptr<keyed_hash>> keys);

    std::vector<std::unique_ptr<keyed_hash>> keys_;
};

}  // namespace walrelay::sink::http
