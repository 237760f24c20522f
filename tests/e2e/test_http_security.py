"""What an endpoint can rely on: signatures, certificates, and requests that no row can bend."""

import base64
import hashlib
import hmac
import importlib.util
import os
import pty
import re
import socket
import ssl
import subprocess
import threading
import urllib.parse

import pytest

from support import canary, hostile
from support.events import emit, outbox_to, to_http
from support.parked import wait_set_aside
from support.receiver import Receiver, Reply
from support.relay import config
from support.wait import until

old_secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
new_secret = "whsec_" + base64.b64encode(bytes(range(100, 124))).decode()


def insert(database, topic="t", key=None, kind=None, headers=None):
    return database.value(
        "INSERT INTO walrelay.outbox (topic, key, type, payload, headers)"
        " VALUES (%s, %s, %s, '{\"ü\": 1.50}', %s) RETURNING id::text",
        [topic, key, kind, headers],
    )


# Signatures


def signed_content(request):
    head = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}."
    return head.encode() + request.body


def signature_by_python(secret, request):
    key = base64.b64decode(secret[len("whsec_") :])
    digest = hmac.new(key, signed_content(request), hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signature_by_openssl(secret, request):
    key = base64.b64decode(secret[len("whsec_") :]).hex()
    done = subprocess.run(
        ["openssl", "mac", "-digest", "SHA256", "-macopt", f"hexkey:{key}", "-binary", "HMAC"],
        input=signed_content(request),
        capture_output=True,
        check=True,
    )
    return "v1," + base64.b64encode(done.stdout).decode()


def verify_by_standardwebhooks(secret, request):
    """The reference implementation, where it is installed."""
    if importlib.util.find_spec("standardwebhooks"):
        import standardwebhooks  # pylint: disable=import-error,import-outside-toplevel

        standardwebhooks.Webhook(secret).verify(request.body, request.headers)


@pytest.mark.every_major
def test_signatures_verify_with_independent_implementations_under_each_of_two_secrets(
    db, receiver, relay
):
    """C11; and C10: the reply is lost until the repeat has another timestamp."""

    def in_the_first_second(request):
        time_of_first = receiver.requests[0].headers["webhook-timestamp"]
        return request.headers["webhook-timestamp"] == time_of_first

    receiver.answer(lambda request: Reply(lost=in_the_first_second(request)))
    sink = {"signing": [new_secret, old_secret]}
    process = relay(to_http(db, receiver, http=sink)).wait_ready()
    event = insert(db, key="k")
    until(lambda: process.delivered("endpoint") == 1, what="a reply that is not lost")
    first, *_, last = receiver.requests
    assert first.body == last.body == '{"ü": 1.50}'.encode()
    assert int(first.headers["webhook-timestamp"]) < int(last.headers["webhook-timestamp"])
    assert first.headers["webhook-signature"] != last.headers["webhook-signature"]
    for request in receiver.requests:
        assert request.headers["webhook-id"] == event
        given = request.headers["webhook-signature"].split(" ")
        assert given == [signature_by_python(one, request) for one in (new_secret, old_secret)]
        assert given == [signature_by_openssl(one, request) for one in (new_secret, old_secret)]
        for secret in (new_secret, old_secret):
            verify_by_standardwebhooks(secret, request)


def test_an_endpoint_without_signing_gets_no_signature(db, receiver, relay):
    relay(to_http(db, receiver, {"signing": None})).wait_ready()
    insert(db)
    [request] = receiver.wait_for(1)
    assert "webhook-signature" not in request.headers
    assert request.headers["webhook-timestamp"].isdigit()


# Rows that would bend a request


class RawEndpoint:
    """Keeps every byte that comes in, and answers 200 each time it ends as told."""

    def __init__(self, ends_with):
        self.received = b""
        self._ends_with = ends_with
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        try:
            while True:
                client, _ = self._socket.accept()
                with client:
                    while data := client.recv(65536):
                        self.received += data
                        if self.received.endswith(self._ends_with):
                            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except OSError:
            pass

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def as_header(text):
    """Visible ASCII stays, and blanks inside; all else, and `%`, is percent-encoded."""
    raw = text.encode()
    ends = (0, len(raw) - 1)
    return "".join(
        f"%{byte:02X}"
        if byte < 0x20 or byte > 0x7E or byte == 0x25 or (byte == 0x20 and at in ends)
        else chr(byte)
        for at, byte in enumerate(raw)
    )


def test_no_value_of_a_row_changes_the_request_that_carries_it(db, relay):
    body = '{"ü": 1.50}'.encode()
    endpoint = RawEndpoint(body)
    try:
        url = f"http://127.0.0.1:{endpoint.port}/in/{{topic}}/end?key={{key}}"
        process = relay(
            config(db, {"endpoint": {"http": {"url": url, "signing": None}}},
                   [outbox_to("endpoint")])
        ).wait_ready()
        for count, value in enumerate(hostile.texts, 1):
            endpoint.received = b""
            event = insert(db, value, value, value, headers='{"Tenant": "a: b"}')
            until(lambda: process.delivered("endpoint") == count, what=repr(value))
            in_url = urllib.parse.quote(value.encode(), safe="-._~")
            expected = (
                f"POST /in/{in_url}/end?key={in_url} HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{endpoint.port}\r\n"
                f"x-canary: {canary.text}\r\n"
                "Content-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n"
                f"webhook-id: {event}\r\n"
                "webhook-timestamp: NOW\r\n"
                f"x-walrelay-key: {as_header(value)}\r\n"
                f"x-walrelay-type: {as_header(value)}\r\n"
                "x-walrelay-attempt: 1\r\n"
                "Tenant: a: b\r\n"
                "User-Agent: walrelay/VERSION\r\n\r\n"
            ).encode() + body
            seen = re.sub(rb"(webhook-timestamp: )\d{10}\r", rb"\1NOW\r", endpoint.received)
            seen = re.sub(rb"(User-Agent: walrelay/)[0-9.]+\r", rb"\1VERSION\r", seen)
            assert seen == expected
    finally:
        endpoint.close()


@pytest.mark.parametrize(
    ("topic", "headers", "reason"),
    [
        ("t", '{"x": "a\\r\\nevil: 1"}', 'header "x"'),
        ("t", '{"a b": "1"}', 'header "a b"'),
        ("t", '{"x\\r\\nevil": "1"}', "header"),
        ("t", '{"Host": "evil"}', 'header "Host"'),
        ("t", '{"transfer-encoding": "chunked"}', "transfer-encoding"),
        ("t", '{"authorization": "x"}', "authorization"),
        ("t", '{"webhook-signature": "v1,x"}', "webhook-signature"),
        pytest.param("t", '{"x": "' + "y" * 70000 + '"}', "headers", id="70000 bytes"),
        ("..", None, "topic"),
        ("", None, "topic"),
    ],
)
@pytest.mark.parametrize("policy", ["park", "halt"])
def test_a_row_that_no_request_can_carry_is_refused_by_name_and_nothing_of_it_is_sent(
    policy, db, receiver, relay, topic, headers, reason
):
    """C13: headers; C14: topics."""
    http = {"url": receiver.url + "/in/{topic}"}
    process = relay(to_http(db, receiver, http=http, on_event_error=policy)).wait_ready()
    event = insert(db, topic, "k", headers=headers)
    if policy == "halt":
        text = process.wait_not_ready("halted")
        assert event in text and "walrelay.outbox" in text and "LSN" in text, text
        assert receiver.requests == [] and process.running()
    else:
        row = wait_set_aside(db, event)
        assert (row["source_table"], row["sink"]) == ("walrelay.outbox", "endpoint"), row
        text = row["error"]
        behind = insert(db, key="k")
        [request] = receiver.wait_for(1)
        assert request.headers["webhook-id"] == behind and process.ready()
    assert reason in text, text
    for shown in (text, process.log()):
        assert "yyyy" not in shown and "chunked" not in shown, "no value is shown"
    assert len(text) < 2000


# Certificates


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Makes the TLS settings of a server for a name: authority(name); authority.ca is its root."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    openssl(
        "req", "-x509", *new_key, "-subj", "/CN=the tests", "-keyout", "ca.key", "-out", "ca.pem"
    )

    def server_settings(name, signed=True):
        signer = ["-CA", "ca.pem", "-CAkey", "ca.key"] if signed else []
        openssl(
            *("req", "-x509", *new_key, *signer, "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=CA:FALSE"),
            *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return context

    server_settings.ca = str(folder / "ca.pem")
    return server_settings


@pytest.fixture
def secure_receiver():
    made = []

    def make(tls):
        made.append(Receiver(tls))
        return made[-1]

    yield make
    for server in made:
        server.close()


def to_https(db, receiver, authority):
    sink = {"url": f"https://localhost:{receiver.port}/in", "tls": {"ca": authority.ca}}
    return to_http(db, receiver, http=sink)


@pytest.mark.every_major
def test_https_with_an_authority_of_ones_own_works(db, secure_receiver, authority, relay):
    receiver = secure_receiver(authority("localhost"))
    process = relay(to_https(db, receiver, authority)).wait_ready()
    emit(db, 1, 3)
    receiver.wait_for(3)
    until(lambda: process.delivered("endpoint") == 3, what="three are delivered")
    assert receiver.connections == 1, "the connection is kept"


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(db, relay, tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=True)

    key = ("-newkey", "rsa:2048", "-passout", f"pass:{canary.text}", "-keyout", "key.pem")
    openssl("req", "-x509", *key, "-subj", "/CN=client", "-out", "client.pem")
    tls = {"cert": str(tmp_path / "client.pem"), "key": str(tmp_path / "key.pem")}
    sinks = {"endpoint": {"http": {"url": "https://localhost:1/", "tls": tls}}}
    operator, terminal = pty.openpty()
    try:
        process = relay(
            config(db, sinks, [outbox_to("endpoint")]),
            # The first terminal that a session opens is its own.
            under=["sh", "-c", f': <{os.ttyname(terminal)}; exec "$@"', "sh"],
        )
        assert process.wait_exit() == 2
        assert "tls.key" in process.log() and "without a passphrase" in process.log()
        os.set_blocking(operator, False)
        with pytest.raises(BlockingIOError):  # nothing was written there
            os.read(operator, 100)
    finally:
        os.close(operator)
        os.close(terminal)


@pytest.mark.parametrize(
    ("name", "signed", "reason"),
    [
        ("other.example", True, "hostname mismatch"),
        ("localhost", False, "self-signed certificate|unable to get local issuer"),
    ],
)
def test_a_certificate_of_another_name_or_authority_stalls_the_sink_and_says_why(
    db, secure_receiver, authority, relay, name, signed, reason
):
    """C6."""
    receiver = secure_receiver(authority(name, signed))
    process = relay(to_https(db, receiver, authority)).wait_ready()
    insert(db, key="k")
    text = process.wait_not_ready("certificate of localhost")
    assert "sink endpoint stalls" in text and re.search(reason, text), text
    assert receiver.requests == [] and process.delivered("endpoint") == 0
