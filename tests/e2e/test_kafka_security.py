"""A broker that asks who is there: passwords, certificates, rights, and what is said about them."""

import json

import confluent_kafka
import pytest

from support.events import emit
from support.processes import free_port
from support.records import assert_all_arrived, repeats, to_kafka, wait_all_acknowledged
from support.relay import run_command
from support.secured_broker import SecuredBroker
from support.wait import stays, until


@pytest.fixture(name="secured", scope="module")
def secured_broker():
    server = SecuredBroker()
    yield server
    server.close()


@pytest.fixture(name="check")
def run_check(tmp_path):
    """Runs `check` with a configuration: the exit code, the findings of a subject, all it said."""

    def run(settings, subject):
        settings = {"admin": {"listen": f"127.0.0.1:{free_port()}"}, **settings}
        file = tmp_path / "relay.yaml"
        file.write_text(json.dumps(settings), encoding="utf-8")
        file.chmod(0o600)
        done = run_command("check", "-c", file, "-o", "json")
        findings = [one for one in json.loads(done.stdout) if one["subject"] == subject]
        return done.returncode, findings, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("who", ["relay", "CN=client"])
def test_b7_a_password_or_a_certificate_and_rights_deliver_and_check_finds_nothing_that_stops(
    db, secured, relay, check, who
):
    topic = secured.create_topic()
    secured.allow(topic, "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS", who=who)
    sink = secured.by_password() if who == secured.user else secured.by_certificate("client")
    settings = to_kafka(db, secured, topic, kafka=sink)
    code, [found], said = check(settings, "sink events")
    assert code == 0 and found["text"] == "1 broker answers", said
    assert secured.password not in said
    relay(settings).wait_ready()
    wait_all_acknowledged(db, 1)
    assert_all_arrived(secured.everything(topic), [1])


def test_b7_scram_logs_in_or_check_says_which_librdkafka_can(db, secured, relay, check):
    """Before 2.6.1 its SCRAM is refused by Kafka 4, as if the password were wrong."""
    topic = secured.create_topic()
    secured.allow(topic, "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
    settings = to_kafka(db, secured, topic, kafka=secured.by_password("SCRAM-SHA-256"))
    code, [found], said = check(settings, "sink events")
    process = relay(settings)
    if confluent_kafka.libversion()[1] >= 0x020601FF:
        assert code == 0, said
        wait_all_acknowledged(db, 1)
    else:
        assert code == 2 and "invalid credentials" in found["text"], said
        assert "librdkafka 2.6.1" in found["mends"][1], said
        emit(db, 1)
        text = process.wait_not_ready("sink events.*invalid credentials")
        assert secured.sasl in text and secured.password not in text, text


def test_b7_a_right_taken_live_stalls_the_topic_by_name_and_given_back_goes_on(
    db, secured, relay
):
    topic, other = secured.create_topic(), secured.create_topic()
    secured.allow(topic, "WRITE")
    secured.allow(other, "WRITE")
    process = relay(to_kafka(db, secured, kafka=secured.by_password())).wait_ready()

    def insert(name, first, last):
        db.sql(
            "INSERT INTO walrelay.outbox (topic, key, payload) SELECT %s, %s || n %% 5,"
            " jsonb_build_object('n', n) FROM generate_series(%s, %s) n",
            [name, name, first, last],
        )

    insert(topic, 1, 10)
    until(lambda: process.delivered("events") == 10, what="it has the right")
    secured.forbid(topic, "WRITE")
    insert(topic, 11, 20)
    text = process.wait_not_ready(f"{topic}.*[Aa]uthorization failed")
    assert "sink events" in text, text
    insert(other, 1, 10)
    until(lambda: process.delivered("events") == 20, what="the other topic goes on")
    assert process.status()["in_flight_events"] >= 10

    # The wait doubles with each failure, of which one more may come before the right does.
    failures = max(stall["attempts"] for stall in process.status()["sinks"][0]["stalls"])
    secured.allow(topic, "WRITE")
    until(lambda: process.delivered("events") == 30, 5 + 0.2 * 2**failures, "it goes on")
    process.wait_ready()
    records = secured.everything(topic)
    assert_all_arrived(records, range(1, 21))
    assert repeats(records) == 0
    assert_all_arrived(secured.everything(other), range(1, 11))


def test_b7_check_names_a_topic_that_the_sink_has_no_right_to(db, secured, check):
    """Without any right the broker hides even whether the topic exists; WRITE shows it."""
    topic = secured.create_topic()
    settings = to_kafka(db, secured, topic, kafka=secured.by_password())
    code, [found], said = check(settings, f"topic {topic}")
    assert code == 2 and found["severity"] == "stops", said
    assert "no right" in found["text"] and "--add --producer" in found["mends"][0], said
    secured.allow(topic, "WRITE")
    code, found, said = check(settings, f"topic {topic}")
    assert code == 0, said
    assert any("its limits can't be read" in one["text"] for one in found), said


# Who is there, and whom we believe


def wrong_password(secured):
    return secured.by_password(password="wr0ng-and-secret")


def unknown_authority(secured):
    return secured.by_password(authority=secured.stranger)


def no_certificate(secured):
    return secured.by_certificate()


def certificate_of_a_stranger(secured):
    return secured.by_certificate("client", secured.stranger)


def plain_text(secured):
    return {"brokers": secured.sasl}


@pytest.mark.parametrize(
    ("client", "reason", "mend"),
    [
        (wrong_password, "Authentication failed", "sasl.username, sasl.password"),
        (unknown_authority, "certificate verify failed", "ssl.ca.location"),
        (no_certificate, "alert", "ssl.certificate.location and ssl.key.location"),
        (certificate_of_a_stranger, "alert", "ssl.certificate.location and ssl.key.location"),
        (plain_text, "SSL", "security.protocol"),
    ],
)
def test_b7_a_client_that_the_broker_does_not_let_in_is_named_with_the_mend(
    db, secured, relay, check, client, reason, mend
):
    topic = secured.create_topic()
    sink = client(secured)
    settings = to_kafka(db, secured, topic, kafka=sink)
    code, found, said = check(settings, "sink events")
    process = relay(settings)
    emit(db, 1)
    process.wait_log(f"sink events.*{sink['brokers']}.*{reason}")
    assert code == 2
    assert found[0]["severity"] == "stops" and reason in found[0]["text"], said
    assert mend in found[0]["mends"][0], said
    stays(lambda: process.delivered("events") == 0, 0.5, "nothing is delivered")
    for secret in (secured.password, "wr0ng"):
        assert secret not in said + process.log() + process.get("/readyz")[1]


@pytest.mark.parametrize(
    "client", [wrong_password, pytest.param(certificate_of_a_stranger, marks=pytest.mark.slow)]
)
def test_b7_a_client_that_was_not_let_in_delivers_once_its_secret_is_replaced_and_sighup_sent(
    db, secured, relay, client
):
    topic = secured.create_topic()
    secured.allow(topic, "WRITE", who="relay")
    secured.allow(topic, "WRITE", who="CN=client")
    right = secured.by_password() if client is wrong_password else secured.by_certificate("client")
    process = relay(to_kafka(db, secured, topic, kafka=client(secured)))
    emit(db, 0, 99, keys=5)
    process.wait_log("sink events.*" + right["brokers"])
    assert process.delivered("events") == 0
    assert process.reload(to_kafka(db, secured, topic, kafka=right))
    wait_all_acknowledged(db, 100)
    records = secured.everything(topic)
    assert_all_arrived(records, range(101))
    assert repeats(records) == 0
    process.wait_ready()
    assert process.status()["reconnects"] == 0
