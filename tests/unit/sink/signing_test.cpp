#include "sink/http/signing.hpp"

#include "support/catch.hpp"

using namespace walrelay::sink::http;

namespace {

const std::string published_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const std::string published_signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

std::string sign(const signer& with) {
    std::string out;
    REQUIRE(
        with.append(out, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}"));
    return out;
}

}  // namespace

TEST_CASE("C11: the signature is the one that Standard Webhooks publishes") {
    const auto one = signer::make({published_secret});
    REQUIRE(one.has_value());
    CHECK(sign(*one) == published_signature);
    CHECK(sign(*one) == published_signature);  // the key is still there for the next
}

TEST_CASE(
    "C11: two secrets give two signatures with a space between, the newer first as configured") {
    const std::string other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const auto both = signer::make({other, published_secret});
    const auto alone = signer::make({other});
    REQUIRE(both.has_value());
    REQUIRE(alone.has_value());
    CHECK(sign(*both) == sign(*alone) + " " + published_signature);
    CHECK(sign(*alone) != published_signature);
}

TEST_CASE("a secret without its padding is the same secret") {
    const auto padded = signer::make({"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="});
    const auto bare = signer::make({"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"});
    REQUIRE(padded.has_value());
    REQUIRE(bare.has_value());
    CHECK(sign(*padded) == sign(*bare));
}

TEST_CASE("a bad signing secret is refused by its place, and is not repeated") {
    for (const char* bad :
         {"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_a",
          "whsec_====", "whsec_not base64!", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}) {
        CAPTURE(bad);
        const auto made = signer::make({published_secret, bad});
        REQUIRE_FALSE(made.has_value());
        CHECK(made.error().object == "signing secret 2");
        const std::string value = bad;
        if (value.size() > 10)
            CHECK(made.error().text().find(value.substr(6)) == std::string::npos);
    }
}
