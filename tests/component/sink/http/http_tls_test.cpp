#include <atomic>
#include <csignal>

#include "certificates.hpp"
#include "http_fixture.hpp"
#include "http_server.hpp"

using namespace walrelay;
using namespace walrelay::test;

namespace {

constexpr const char* local_names = "IP:127.0.0.1,DNS:localhost";

/// An authority, its file, and a server with the given identity.
struct tls_world {
    explicit tls_world(const identity& server_identity, const identity& trusted,
                       http_server::script script, const identity* client_authority = nullptr)
        : context{make_server_tls(server_identity, client_authority)},
          server{std::move(script), context.get()},
          fixture{server.url()} {
        fixture.options.tls.ca = files.certificate(trusted, "ca.pem");
    }

    pem_files files;
    server_tls context;
    http_server server;
    http_fixture fixture;
};

int serve_localhost_alone(SSL* session, int* alert, void*) {
    const char* const name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
    if (name != nullptr && std::string_view{name} == "localhost") return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// The server's own writes into a connection that the client has closed.
const auto ignore_broken_pipes = std::signal(SIGPIPE, SIG_IGN);

}  // namespace

TEST_CASE("HTTPS with a configured authority delivers, many times on one connection") {
    const auto authority = make_identity("test authority", "");
    const auto own = make_identity("server", local_names, &authority);
    tls_world world{own, authority, always(ok)};
    const std::string body(300'000, 'x');
    for (int i = 0; i < 50; ++i) {
        auto record = plain_record();
        if (i % 10 == 0) record.body = body;
        const auto outcome = world.fixture.deliver(record);
        CAPTURE(outcome.reason);
        REQUIRE(outcome.what == outcome_class::delivered);
    }
    CHECK(world.server.connections() == 1);
}

TEST_CASE("C6: the name in the URL is what the certificate has to show") {
    const auto authority = make_identity("test authority", "");
    const auto own = make_identity("server", "DNS:localhost", &authority);
    tls_world world{own, authority, always(ok)};
    const auto by_address = world.fixture.deliver();
    CHECK(by_address.what == outcome_class::endpoint);
    CHECK(contains(by_address.reason,
                   "the certificate of 127.0.0.1 is not accepted: IP address mismatch"));

    http_fixture by_name{"https://localhost:" + std::to_string(world.server.port())};
    by_name.options.tls.ca = world.fixture.options.tls.ca;
    CHECK(by_name.deliver().what == outcome_class::delivered);

    const auto other = make_identity("server", "DNS:hooks.example", &authority);
    tls_world wrong{other, authority, always(ok)};
    http_fixture wrong_name{"https://localhost:" + std::to_string(wrong.server.port())};
    wrong_name.options.tls.ca = wrong.fixture.options.tls.ca;
    const auto outcome = wrong_name.deliver();
    CHECK(outcome.what == outcome_class::endpoint);
    CHECK(contains(outcome.reason,
                   "the certificate of localhost is not accepted: hostname mismatch"));
}

TEST_CASE(
    "C6: a certificate that can't be trusted stalls the sink, and no byte of a request is sent") {
    std::atomic<int> requests = 0;
    const auto count = [&](peer& client) {
        if (!client.request().empty()) ++requests;
    };
    const auto authority = make_identity("test authority", "");
    const auto other_authority = make_identity("other authority", "");

    const auto self_signed = make_identity("server", local_names);
    tls_world alone{self_signed, authority, count};
    auto outcome = alone.fixture.deliver();
    CHECK(outcome.what == outcome_class::endpoint);
    CHECK(contains(outcome.reason, "self-signed certificate"));

    const auto expired_identity = make_identity("server", local_names, &authority, -1h);
    tls_world expired{expired_identity, authority, count};
    outcome = expired.fixture.deliver();
    CHECK(outcome.what == outcome_class::endpoint);
    CHECK(contains(outcome.reason,
                   "the certificate of 127.0.0.1 is not accepted: certificate has expired"));

    const auto strange = make_identity("server", local_names, &other_authority);
    tls_world unknown{strange, authority, count};
    outcome = unknown.fixture.deliver();
    CHECK(outcome.what == outcome_class::endpoint);
    CHECK(contains(outcome.reason, "unable to get local issuer certificate"));

    http_fixture by_system{unknown.server.url()};  // the system's authorities know nothing of ours
    CHECK(by_system.deliver().what == outcome_class::endpoint);
    CHECK(requests == 0);
}

TEST_CASE(
    "C6: a server that wants a client certificate gets it, and says no to none, an expired one and "
    "one of another authority") {
    const auto authority = make_identity("test authority", "");
    const auto other_authority = make_identity("other authority", "");
    const auto own = make_identity("server", local_names, &authority);
    const auto client = make_identity("relay", "DNS:relay", &authority);
    const auto expired = make_identity("relay", "DNS:relay", &authority, -1h);
    const auto stranger = make_identity("relay", "DNS:relay", &other_authority);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CAPTURE(version);
        std::atomic<int> requests = 0;
        tls_world world{own, authority,
                        [&](peer& asking) {
                            while (!asking.request().empty()) {
                                ++requests;
                                if (!asking.send(ok)) return;
                            }
                        },
                        &authority};
        SSL_CTX_set_max_proto_version(world.context.get(), version);
        const auto with = [&](const identity* shown) {
            http_fixture fixture{world.server.url()};
            fixture.options.tls.ca = world.fixture.options.tls.ca;
            if (shown != nullptr) {
                fixture.options.tls.certificate = world.files.certificate(*shown, "client.pem");
                fixture.options.tls.key = world.files.key(*shown, "client.key");
            }
            return fixture.deliver();
        };
        const auto refused = [&](const identity* shown, const char* why) {
            const auto outcome = with(shown);
            CAPTURE(outcome.reason);
            CHECK(outcome.what == outcome_class::endpoint);
            CHECK(contains(outcome.reason, "TLS with 127.0.0.1: "));
            CHECK(contains(outcome.reason, why));
        };
        refused(nullptr, version == TLS1_3_VERSION ? "certificate required" : "handshake failure");
        refused(&stranger, "unknown ca");
        refused(&expired, "certificate expired");
        CHECK(requests == 0);
        CHECK(with(&client).what == outcome_class::delivered);
        CHECK(requests == 1);
    }
}

TEST_CASE("C6: a server that serves by name alone is told the name, or its refusal is named") {
    const auto authority = make_identity("test authority", "");
    const auto own = make_identity("server", local_names, &authority);
    tls_world world{own, authority, always(ok)};
    SSL_CTX_callback_ctrl(world.context.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                          reinterpret_cast<void (*)()>(serve_localhost_alone));
    http_fixture by_name{"https://localhost:" + std::to_string(world.server.port())};
    by_name.options.tls.ca = world.fixture.options.tls.ca;
    CHECK(by_name.deliver().what == outcome_class::delivered);

    const auto by_address = world.fixture.deliver();  // an address is never sent as a name
    CAPTURE(by_address.reason);
    CHECK(by_address.what == outcome_class::endpoint);
    CHECK(contains(by_address.reason, "TLS with 127.0.0.1: "));
    CHECK(contains(by_address.reason, "unrecognized name"));
}

TEST_CASE("C6: TLS older than 1.2 and no TLS at all are refused") {
    const auto authority = make_identity("test authority", "");
    const auto own = make_identity("server", local_names, &authority);
    const auto context = make_server_tls(own);
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context.get(), TLS1_1_VERSION);
    const pem_files files;
    const http_server old{always(ok), context.get()};
    http_fixture fixture{old.url()};
    fixture.options.tls.ca = files.certificate(authority, "ca.pem");
    auto outcome = fixture.deliver();
    CAPTURE(outcome.reason);
    CHECK(outcome.what == outcome_class::endpoint);
    CHECK(contains(outcome.reason, "TLS with 127.0.0.1: "));
    CHECK(contains(outcome.reason, "protocol"));

    const http_server plain{[](peer& client) {
        client.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        client.waits_for_close(1s);
    }};
    http_fixture misled{"https://127.0.0.1:" + std::to_string(plain.port())};
    outcome = misled.deliver();
    CHECK(outcome.what == outcome_class::endpoint);
    CHECK(contains(outcome.reason, "wrong version number"));
}

TEST_CASE("C4: an HTTPS server that closes idle connections costs no attempt") {
    const auto authority = make_identity("test authority", "");
    const auto own = make_identity("server", local_names, &authority);
    tls_world world{own, authority, [](peer& client) {
                        if (!client.request().empty()) client.send(ok);
                    }};
    world.fixture.options.connections = 1;
    for (int i = 0; i < 30; ++i) {
        const auto outcome = world.fixture.deliver();
        CAPTURE(i, outcome.reason);
        REQUIRE(outcome.what == outcome_class::delivered);
    }
}

TEST_CASE("C6: an HTTPS server that never shakes hands costs the timeout") {
    const http_server silent{[](peer& client) { client.waits_for_close(); }};
    http_fixture fixture{"https://127.0.0.1:" + std::to_string(silent.port())};
    fixture.options.timeout = 300ms;
    const auto outcome = fixture.deliver();
    CHECK(outcome.what == outcome_class::transient);
    CHECK(contains(outcome.reason, ": no answer"));
}

TEST_CASE("TLS files that don't fit are refused with the option's name") {
    const auto authority = make_identity("test authority", "");
    const auto client = make_identity("relay", "DNS:relay", &authority);
    const pem_files files;
    const auto refused = [](const config::tls_files& tls) {
        http_fixture fixture{"https://127.0.0.1:1/"};
        fixture.options.tls = tls;
        const auto made =
            sink::make_http(fixture.loop, fixture.options, "w", 7, fixture.limits, fixture.log);
        REQUIRE_FALSE(made.has_value());
        return made.error().text();
    };
    const auto certificate = files.certificate(client, "client.pem");
    const auto other_key = files.key(authority, "other.key");
    CHECK(contains(refused({"", certificate, ""}), "sinks.w.http.tls.key: is missing"));
    CHECK(contains(refused({"", "", other_key}), "sinks.w.http.tls.cert: is missing"));
    CHECK(contains(refused({"", certificate, other_key}), "sinks.w.http.tls.key: " + other_key));
    CHECK(contains(refused({other_key, "", ""}), "sinks.w.http.tls.ca: " + other_key));
    CHECK(contains(refused({"", "/nowhere", other_key}), "sinks.w.http.tls.cert: /nowhere"));
}
