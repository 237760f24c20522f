"""`walrelay check`: what sinks, files and ports would do to the relay, each with its mend."""

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import time

import pytest

from support.events import outbox_to, to_discard, to_http, to_stdout
from support.pooler import Pooler
from support.processes import free_port
from support.receiver import Receiver
from support.records import to_kafka
from support.relay import config, run_command
from support.wait import until


@pytest.fixture
def check(tmp_path):
    """Runs `check` with a configuration: the exit code and the findings."""

    def run(settings, mode=0o600):
        settings = {"admin": {"listen": f"127.0.0.1:{free_port()}"}, **settings}
        file = tmp_path / "relay.yaml"
        file.write_text(json.dumps(settings), encoding="utf-8")
        file.chmod(mode)
        done = run_command("check", "-c", file, "-o", "json")
        return done.returncode, json.loads(done.stdout)

    return run


def about(findings, subject, *levels):
    """The findings of a subject, of these severities or all."""
    return [
        one
        for one in findings
        if one["subject"] == subject and (not levels or one["severity"] in levels)
    ]


# Kafka


def test_a_topic_that_is_there_is_fine_and_one_that_is_missing_stops(db, broker, check):
    topic = broker.create_topic()
    code, findings = check(to_kafka(db, broker, topic))
    assert code == 0, findings
    assert about(findings, "sink events", "ok")[0]["text"] == "1 broker answers"
    [one] = about(findings, f"topic {topic}")
    assert one["severity"] == "info" and "one replica" in one["text"]

    code, findings = check(to_kafka(db, broker, "nowhere"))
    assert code == 2
    [one] = about(findings, "topic nowhere")
    assert one["severity"] == "stops" and "does not exist, and the brokers make none" in one["text"]
    assert f"--bootstrap-server '{broker.bootstrap}' --create --topic 'nowhere'" in one["mends"][0]


def test_topics_that_rows_name_are_told_as_not_to_be_looked_at(db, broker, check):
    code, findings = check(to_kafka(db, broker))
    assert code == 0
    [one] = about(findings, "sink events", "info")
    assert "{topic} come from rows" in one["text"]


def test_the_smallest_limit_of_a_record_is_named_with_its_mend(db, broker, check):
    topic = broker.create_topic(max_message_bytes=100_000)
    code, findings = check(to_kafka(db, broker, topic))
    assert code == 0
    [one] = about(findings, f"topic {topic}", "warns")
    assert "97.7 KiB a record (max.message.bytes of the topic)" in one["text"]
    assert "--add-config max.message.bytes=" in one["mends"][0]
    properties = {"properties": {"message.max.bytes": "200000"}}
    _, findings = check(to_kafka(db, broker, broker.create_topic(), kafka=properties))
    [one] = about(findings, "sink events", "warns")
    assert "195.3 KiB (message.max.bytes)" in one["text"]


def test_replicas_that_can_never_acknowledge_stop(db, broker, check):
    topic = broker.create_topic(min_insync_replicas=2, unclean_leader_election_enable="true")
    code, findings = check(to_kafka(db, broker, topic))
    assert code == 2
    [one] = about(findings, f"topic {topic}", "stops")
    assert "min.insync.replicas is 2 of 1 replica" in one["text"]
    assert "min.insync.replicas=1" in one["mends"][0]
    [one] = about(findings, f"topic {topic}", "warns")
    assert "unclean.leader.election" in one["text"]


def test_check_makes_no_topic_where_brokers_would(db, new_broker, check):
    broker = new_broker(auto_create_topics_enable="true")
    code, findings = check(to_kafka(db, broker, "later"))
    assert code == 0, findings
    [one] = about(findings, "topic later", "warns")
    assert "the first record makes it" in one["text"]
    assert "later" not in broker.admin().list_topics(timeout=10).topics


def test_sinks_that_do_not_answer_are_looked_at_side_by_side(db, check):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        sinks = {
            "closed": {"kafka": {"brokers": f"127.0.0.1:{free_port()}"}},
            "silent": {"kafka": {"brokers": f"127.0.0.1:{port}"}},
            "nameless": {"kafka": {"brokers": "broker.invalid:9092"}},
            "mute": {"http": {"url": f"https://127.0.0.1:{port}/"}},
            "away": {"http": {"url": f"http://127.0.0.1:{free_port()}/"}},
            "lost": {"http": {"url": "http://endpoint.invalid/"}},
            # Each is waited for for four seconds: one after the other they would take far longer.
            **{f"mute{n}": {"http": {"url": f"https://127.0.0.1:{port}/"}} for n in range(5)},
        }
        started = time.monotonic()
        code, findings = check(config(db, sinks, [outbox_to(list(sinks), topic="t")]))
        assert time.monotonic() - started < 20
    assert code == 2
    says = {name: about(findings, f"sink {name}", "stops")[0]["text"] for name in sinks}
    assert "refused" in says["closed"] and "refused" in says["away"]
    assert "no broker of" in says["silent"] and "broker.invalid" in says["nameless"]
    assert "no answer in time" in says["mute"]
    assert "the name of endpoint.invalid:80 can't be resolved" in says["lost"]


# HTTP


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """certificates(name, days): files of a certificate and its key; certificates.ca signs them."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name, *more):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", *more],
            cwd=folder,
            capture_output=True,
            check=True,
        )
        return folder / f"{name}.pem", folder / f"{name}.key"

    def signed(name, days=60):
        return make(
            f"{name}-{days}",
            *("-CA", "ca.pem", "-CAkey", "ca.key", "-days", str(days), "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=CA:FALSE"),
        )

    make("ca", "-days", "60", "-subj", "/CN=the tests")
    signed.ca = str(folder / "ca.pem")
    return signed


@pytest.fixture
def endpoint(certificates):
    """Starts HTTPS receivers: endpoint(name, days, wants_client)."""
    made = []

    def start(name="localhost", days=60, wants_client=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates(name, days))
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates.ca)
        made.append(Receiver(context))
        return made[-1]

    yield start
    for server in made:
        server.close()


def to_https(database, receiver, **tls):
    url = f"https://localhost:{receiver.port}/in"
    return to_http(database, receiver, http={"url": url, "tls": tls} if tls else {"url": url})


def test_an_endpoint_is_reached_and_verified_and_gets_no_request(
    db, endpoint, receiver, certificates, check
):
    secure = endpoint()
    code, findings = check(to_https(db, secure, ca=certificates.ca))
    assert code == 0, findings
    [one] = about(findings, "sink endpoint")
    assert one["severity"] == "ok" and "certificate is accepted" in one["text"]
    until(lambda: seen_to_its_end(secure), what="the endpoint has seen the connection")
    assert secure.connections == 1 and secure.requests == []
    code, findings = check(to_http(db, receiver))
    assert code == 0 and about(findings, "sink endpoint", "ok")
    until(lambda: seen_to_its_end(receiver), what="the receiver has seen the connection")
    assert receiver.connections == 1 and receiver.requests == []


def seen_to_its_end(receiver):
    """Whether connections came, and all that came with them was read."""
    return receiver.connections > 0 == receiver.open_connections


def test_a_certificate_that_ends_soon_warns(db, endpoint, certificates, check):
    code, findings = check(to_https(db, endpoint(days=13), ca=certificates.ca))
    assert code == 0
    [one] = about(findings, "sink endpoint")
    assert one["severity"] == "warns"
    assert re.search(r"certificate of localhost:\d+ expires in 1[23] days", one["text"])


@pytest.mark.parametrize(
    ("name", "own_authority", "reason", "mend"),
    [
        ("other.example", True, "hostname mismatch", "a name that stands in the certificate"),
        ("localhost", False, "unable to get local issuer", "sinks.endpoint.http.tls.ca"),
    ],
)
def test_a_certificate_that_is_not_accepted_stops_with_its_mend(
    db, endpoint, certificates, check, name, own_authority, reason, mend
):
    tls = {"ca": certificates.ca} if own_authority else {}
    code, findings = check(to_https(db, endpoint(name), **tls))
    assert code == 2
    [one] = about(findings, "sink endpoint", "stops")
    assert reason in one["text"] and mend in one["mends"][0]


def test_an_endpoint_that_wants_a_client_certificate_stops_without_one(
    db, endpoint, certificates, check
):
    receiver = endpoint(wants_client=True)
    code, findings = check(to_https(db, receiver, ca=certificates.ca))
    assert code == 2, findings
    [one] = about(findings, "sink endpoint", "stops")
    assert re.search("certificate required|closes the connection", one["text"])
    assert "client certificate" in one["mends"][0]
    cert, key = map(str, certificates("client"))
    os.chmod(key, 0o644)
    code, findings = check(to_https(db, receiver, ca=certificates.ca, cert=cert, key=key))
    assert code == 0, findings
    [one] = about(findings, "secrets")
    assert one["severity"] == "warns" and f"chmod 600 {key}" in one["mends"]


# This host


def test_an_admin_port_is_free_or_named_with_who_has_it(db, receiver, relay, check):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        code, findings = check({**to_discard(db), "admin": {"listen": listen}})
        assert code == 2
        assert "in use" in about(findings, "admin", "stops")[0]["text"]
    process = relay(to_http(db, receiver)).wait_ready()
    code, findings = check({**to_http(db, receiver), "admin": process.admin_section})
    assert code == 0, findings
    assert "a relay of this slot answers" in about(findings, "admin", "info")[0]["text"]
    other = config(db, {"nothing": {"discard": {}}}, [outbox_to("nothing")], {"slot": "another"})
    _, findings = check({**other, "admin": process.admin_section})
    assert f"the relay of slot {db.slot}" in about(findings, "admin", "stops")[0]["text"]


def test_secrets_in_a_file_that_others_may_read_warn_without_being_shown(db, receiver, check):
    settings = to_http(db, receiver, http={"headers": {"authorization": "Bearer S3CR3T"}})
    _, findings = check(settings, mode=0o600)
    assert about(findings, "secrets") == []
    _, findings = check(settings, mode=0o644)
    [one] = about(findings, "secrets", "warns")
    assert "sinks.endpoint.http.headers.authorization" in one["text"]
    assert any("chmod 600" in mend for mend in one["mends"])
    assert "S3CR3T" not in json.dumps(findings)


# The database


def test_a_pooler_is_named(db, check):
    with contextlib.closing(Pooler(db.cluster)) as pooler:
        settings = to_stdout(db)
        settings["source"][
            "conninfo"
        ] = f"host=127.0.0.1 port={pooler.port} dbname={db.name} user={db.relay_user}"
        code, findings = check(settings)
    assert code == 2
    stops = [one for one in findings if one["severity"] == "stops"]
    assert any("PgBouncer" in one["text"] for one in stops), findings
    assert any("not of PgBouncer" in mend for one in stops for mend in one["mends"])


def test_a_publication_that_would_hurt_the_application_or_the_relay_stops(db, check):
    db.sql("CREATE TABLE public.mail (id int PRIMARY KEY, kind text, body text)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE public.mail WHERE (kind = 'x')")
    db.sql(f"ALTER PUBLICATION {db.publication} SET (publish = 'insert, update')")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE walrelay.progress")
    settings = to_stdout(db)
    settings["routes"].append(
        {"from": "public.mail", "shape": {"id": "{id}", "payload": "body"}, "to": "console"}
    )
    code, findings = check(settings)
    assert code == 2
    [one] = about(findings, "table public.mail", "stops")
    assert "row filter" in one["text"]
    [one] = about(findings, "table walrelay.progress", "stops")
    assert "belongs to the relay" in one["text"]
    for finding in findings:
        for mend in finding["mends"] if finding["severity"] == "stops" else []:
            db.sql(mend)
    _, findings = check(settings)
    assert about(findings, "table walrelay.progress") == []
    [one] = about(findings, "table public.mail")
    assert one["severity"] == "warns", "the filter itself remains"


def test_an_older_schema_is_told_with_what_it_lacks(db, check):
    code, findings = check(to_stdout(db))
    assert code == 0 and about(findings, "schema", "warns") == []
    db.sql("DROP FUNCTION walrelay.emit_wal")
    code, findings = check(to_stdout(db))
    assert code == 0
    [one] = about(findings, "schema", "warns")
    assert "it lacks function walrelay.emit_wal" in one["text"]
    assert "--apply" in one["mends"][0]
    db.sql("DROP FUNCTION walrelay.rotate")
    assert check(to_stdout(db))[0] == 2


def test_routes_of_messages_need_no_table(db, check):
    settings = to_stdout(db)
    settings["routes"].append({"from": "message:orders", "to": "console"})
    code, findings = check(settings)
    assert code == 0, findings


@pytest.mark.every_major
def test_check_finds_nothing_that_stops_a_healthy_relay(db, receiver, check):
    code, findings = check(to_http(db, receiver))
    assert code == 0, findings
    assert [one for one in findings if one["severity"] in ("stops", "warns")] == []
