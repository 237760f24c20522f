"""Kafka when something breaks: the broker, the relay, a topic that isn't there."""

import contextlib
import json
import resource

import pytest

from support.events import emit
from support.parked import mark, wait_set_aside, waiting
from support.records import (
    Writer,
    assert_all_arrived,
    commit_many,
    logs_by_key,
    number_of,
    repeats,
    to_kafka,
    wait_all_acknowledged,
)
from support.broker import Broker
from support.processes import alive
from support.wait import stays, until


@pytest.fixture(scope="module")
def own_broker():
    server = Broker()
    yield server
    server.close()


@pytest.fixture
def broker_to_break(own_broker):
    """A broker for the tests that stop it; it runs again for the next one."""
    yield own_broker
    if not alive(own_broker.pid):
        own_broker.start()


def committed(writer, more):
    """Waits until so many more rows are committed."""
    wanted = writer.committed + more
    until(lambda: writer.committed >= wanted, 20, f"{more} more rows are committed")


def has_delivered(process, count):
    """Whether it has delivered so many since it started; also while it is about to start."""
    code, text = process.get("/status")
    return code == 200 and json.loads(text)["sinks"][0]["delivered"] >= count


def test_b2_rows_wait_for_a_broker_that_is_down_at_the_start_and_none_comes_twice(
    db, broker_to_break, relay
):
    broker = broker_to_break
    topic = broker.create_topic()
    broker.kill()
    process = relay(to_kafka(db, broker, topic, limits={"in_flight_events": 500}))
    numbers = commit_many(db, 1000)
    process.wait_not_ready(f"sink events.*127.0.0.1:{broker.port}")
    assert process.delivered("events") == 0
    until(lambda: "in_flight_events" in process.status()["limit_held_by"], what="it reads no more")
    assert process.status()["in_flight_events"] == 500
    process.wait_log(f"sink events.*127.0.0.1:{broker.port}")
    used = process.cpu_seconds()
    process.terminate()
    stays(process.running, 3, "it still tries to deliver")
    assert process.cpu_seconds() - used < 0.5, "without turning in circles"
    assert process.wait_exit() == 0
    process.start()
    process.wait_not_ready(f"sink events.*127.0.0.1:{broker.port}")
    broker.start()
    until(lambda: process.delivered("events") == 1000, what="it goes on")
    process.wait_ready()
    wait_all_acknowledged(db, len(numbers))
    records = broker.everything(topic)
    assert_all_arrived(records, range(len(numbers) + 1))
    assert repeats(records) == 0


def test_b1_a_broker_that_is_killed_in_full_flow_loses_reorders_and_repeats_nothing(
    db, broker_to_break, relay
):
    broker = broker_to_break
    topic = broker.create_topic()
    process = relay(to_kafka(db, broker, topic)).wait_ready()
    with Writer(db) as writer:
        until(lambda: process.delivered("events") > 500, what="rows flow")
        broker.kill()
        committed(writer, 500)
        text = process.wait_not_ready("sink events.*refused")
        assert "security.protocol" not in text, "what librdkafka guessed before is not told any more"
        delivered = process.delivered("events")
        broker.start()
        until(lambda: process.delivered("events") > delivered, what="it goes on")
        committed(writer, 500)
        process.wait_ready(30)
        numbers = writer.stop()
    wait_all_acknowledged(db, len(numbers))
    records = broker.everything(topic)
    # The broker knows from its log what this producer had written, and takes nothing again.
    same_producer = "made anew" not in process.log()
    assert_all_arrived(records, range(len(numbers) + 1), strict=same_producer)
    assert repeats(records) == 0 or not same_producer


@pytest.fixture
def patient_broker():
    """Its controller doesn't take it for dead in a pause of seconds, as others' do after nine."""
    server = Broker(broker_session_timeout_ms=30000)
    yield server
    server.close()


def test_b3_a_broker_that_pauses_for_seconds_loses_and_reorders_nothing(db, patient_broker, relay):
    broker = patient_broker
    topic = broker.create_topic()
    # Requests time out in the pause, and are sent again.
    properties = {"socket.timeout.ms": 1500, "request.timeout.ms": 1000}
    process = relay(to_kafka(db, broker, topic, kafka={"properties": properties})).wait_ready()
    with Writer(db) as writer:
        until(lambda: process.delivered("events") > 500, what="rows flow")
        broker.pause()
        try:
            committed(writer, 500)  # meanwhile what the broker had answered is heard
            until(lambda: process.status()["in_flight_events"] > 100, what="rows wait")
            delivered = process.delivered("events")
            stays(lambda: process.delivered("events") == delivered, 4, "nothing is delivered")
        finally:
            broker.resume()
        committed(writer, 500)
        numbers = writer.stop()
    wait_all_acknowledged(db, len(numbers))
    assert_all_arrived(broker.everything(topic), range(len(numbers) + 1))
    assert "made anew" not in process.log(), "no error is fatal"


def test_b11_of_50000_rows_that_wait_at_sigterm_none_is_acknowledged_undelivered(
    db, broker_to_break, relay
):
    broker = broker_to_break
    topic = broker.create_topic()
    limits = {"in_flight_events": 60000, "replay_events": 100000}
    process = relay(to_kafka(db, broker, topic, limits=limits)).wait_ready()
    commit_many(db, 1000)
    until(lambda: process.delivered("events") == 1000, what="rows flow")
    process.wait_settled()
    broker.pause()
    try:
        emit(db, 1000, 50999, keys=20)
        until(lambda: process.status()["in_flight_events"] == 50000, 20, "all are read")
        assert process.stop() == 0
        process.wait_log("come again after the restart")
    finally:
        broker.resume()
    # A broker that went on takes some out of its socket; what was acknowledged besides is lost.
    process.start(wait=True)
    wait_all_acknowledged(db, 51000)
    assert_all_arrived(broker.everything(topic), range(51001))


def test_b15_a_broker_that_cannot_write_stalls_and_nothing_is_lost_when_it_can_again(
    db, broker_to_break, relay
):
    """No file may grow beyond 12 MiB: a write fails as on a full disk, and needs no mount.

    Its only folder lost, the broker ends (KafkaStorageException); somebody starts it again.
    """
    broker = broker_to_break
    topic = broker.create_topic(partitions=1)
    process = relay(to_kafka(db, broker, topic)).wait_ready()
    emit(db, 1, 100)
    until(lambda: process.delivered("events") == 100, what="the disk has room")
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (12 << 20, resource.RLIM_INFINITY))
    for first in range(101, 401, 10):
        emit(db, first, first + 9, keys=5, bytes_each=50_000)
    until(lambda: "Error while appending records" in broker.log(), 15, "a write fails")
    process.wait_log(f"sink events: no broker of {broker.bootstrap} reachable")
    delivered = process.delivered("events")
    assert 100 < delivered < 400
    stays(lambda: process.delivered("events") == delivered, 1, "nothing is called delivered")
    assert process.status()["in_flight_events"] == 400 - delivered

    until(broker.ended, 15, "the broker ends")
    broker.start()
    until(lambda: process.delivered("events") == 400, what="it goes on")
    wait_all_acknowledged(db, 401)
    assert_all_arrived(broker.everything(topic), range(1, 402))


def test_after_kill_9_of_the_relay_all_ids_arrive_and_repeats_are_bounded_and_equal_in_bytes(
    db, broker, relay
):
    topic = broker.create_topic()
    rows = 100
    commit_many(db, 40000, rows)
    limits = {"replay_events": 1000, "in_flight_events": 1000}
    slowly = {"properties": {"linger.ms": 200}}  # so that a late crash still is in full flow
    process = relay(to_kafka(db, broker, topic, kafka=slowly, limits=limits), start=False)
    at_crash = []

    def crash():
        process.kill9()
        at_crash.append(len({one.header("id") for one in broker.everything(topic)}))

    for _ in range(2):
        process.start()
        until(lambda: has_delivered(process, 3000), 20, "rows flow", every=0.001)
        crash()
    # The worst moment: all that may be repeated is delivered, and none of it is recorded.
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        process.start()
        until(lambda: has_delivered(process, 1), 20, "rows flow", every=0.001)
        connection.cursor().execute("SELECT FROM walrelay.progress FOR UPDATE")
        until(lambda: "replay_events" in process.status()["limit_held_by"], what="it waits")
        until(lambda: process.status()["in_flight_events"] <= rows, what="all else is delivered")
        crash()
        # Its server process would write the record once the lock is free.
        waiting = "FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        db.sql(f"SELECT pg_terminate_backend(pid) {waiting}", [db.name])
        until(lambda: not db.sql(f"SELECT {waiting}", [db.name]), what="it is gone")
    assert 0 < at_crash[0] < at_crash[1] <= at_crash[2] < 40000, "each was in full flow"
    process.start()
    wait_all_acknowledged(db, 40000)
    records = broker.everything(topic)
    assert_all_arrived(records, range(40001))
    assert 900 <= repeats(records) <= 3 * (limits["replay_events"] + rows)
    assert len({record.header("id") for record in records}) == 40001


def test_the_connection_to_postgres_lost_while_the_broker_pauses_loses_and_reorders_nothing(
    db, broker_to_break, relay
):
    broker = broker_to_break
    topic = broker.create_topic()
    process = relay(to_kafka(db, broker, topic)).wait_ready()
    with Writer(db) as writer:
        until(lambda: process.delivered("events") > 500, what="rows flow")
        broker.pause()
        try:
            until(lambda: process.status()["in_flight_events"] > 500, what="rows wait")
            db.sql("SELECT pg_terminate_backend(%s)", [db.slot_state()[0]])
            until(lambda: process.status()["reconnects"] == 1, 20, "it connects again")
            committed(writer, 300)
        finally:
            broker.resume()
        committed(writer, 300)
        numbers = writer.stop()
    wait_all_acknowledged(db, len(numbers))
    assert_all_arrived(broker.everything(topic), range(len(numbers) + 1))


@pytest.mark.parametrize("limit", [100, 20000])
def test_connections_to_postgres_lost_in_full_flow_lose_and_reorder_nothing(
    db, broker, relay, limit
):
    topic = broker.create_topic()
    limits = {"in_flight_events": limit}
    process = relay(to_kafka(db, broker, topic, limits=limits)).wait_ready()
    with Writer(db) as writer:
        for losses in range(4):
            start = process.delivered("events")
            until(lambda: process.delivered("events") > start + 300, 20, what="rows flow")
            db.sql("SELECT pg_terminate_backend(%s)", [db.slot_state()[0]])
            until(lambda: process.status()["reconnects"] > losses, 20, "it connects again")
        numbers = writer.stop()
    wait_all_acknowledged(db, len(numbers))
    assert_all_arrived(broker.everything(topic), range(len(numbers) + 1))


def test_a_topic_that_is_deleted_stalls_and_goes_on_when_it_exists_again(
    db, broker, relay
):
    topic = broker.create_topic()
    process = relay(to_kafka(db, broker, topic)).wait_ready()
    emit(db, 1)
    until(lambda: process.delivered("events") == 1, what="the topic is known")
    broker.delete_topic(topic)
    emit(db, 2, 21, keys=5)
    process.wait_not_ready(f"{topic}.*[Uu]nknown topic")
    broker.create_topic(topic)
    wait_all_acknowledged(db, 22)
    assert_all_arrived(broker.everything(topic), range(2, 23))


def test_b5_an_unknown_topic_stalls_alone_says_so_and_goes_on_when_it_exists(db, broker, relay):
    there = broker.create_topic()
    missing = f"missing.{db.name}"
    process = relay(to_kafka(db, broker)).wait_ready()
    # A key keeps its order over all topics of a sink, so each topic has keys of its own here.
    insert = (
        "INSERT INTO walrelay.outbox (topic, key, payload)"
        " SELECT %(topic)s, %(topic)s || n %% 5, jsonb_build_object('n', n) FROM generate_series(1, 50) n"
    )
    db.sql(insert, {"topic": missing})
    db.sql(insert, {"topic": there})
    until(lambda: process.delivered("events") == 50, what="the other topic goes on")
    text = process.wait_not_ready("stalls")
    assert missing in text and "sink events" in text, text
    process.wait_log(f"{missing}.*[Uu]nknown topic")
    stalls = process.status()["sinks"][0]["stalls"]
    assert [one["name"] for one in stalls if one["scope"] == "target"] == [missing]
    db.sql(insert, {"topic": there})
    until(lambda: process.delivered("events") == 100, what="the other topic still goes on")
    broker.create_topic(missing)
    until(lambda: process.delivered("events") == 150, 90, "it goes on once the topic exists")
    process.wait_ready()
    records = broker.everything(missing)
    assert_all_arrived(records, range(1, 51))
    assert repeats(records) == 0


@pytest.mark.parametrize(
    ("topic", "route", "reason"),
    [
        ("__consumer_offsets", {}, "__consumer_offsets"),
        ("a b", {}, "a b"),
        pytest.param("x" * 300, {}, "300", id="300 bytes"),
        ("..", {}, "'..'"),
        ("", {}, "empty"),
        ("billing.made", {"topics": ["orders.*"]}, "billing.made"),
    ],
)
def test_b8_a_topic_that_a_row_may_not_use_halts_by_name_and_nothing_is_sent_there(
    db, broker, relay, topic, route, reason
):
    process = relay(to_kafka(db, broker, route=route, on_event_error="halt")).wait_ready()
    event = db.value(
        "INSERT INTO walrelay.outbox (topic, key, payload) VALUES (%s, 'k', '1') RETURNING id",
        [topic],
    )
    text = process.wait_not_ready("halted")
    assert event in text and "walrelay.outbox" in text and "LSN" in text and reason in text, text
    assert event in process.log()
    assert process.running() and process.status()["state"] == "halted"
    emit(db, 1)
    until(lambda: process.status()["in_flight_events"] == 2, what="the next row is read")
    assert process.delivered("events") == 0
    if topic and len(topic) < 250:
        assert topic == "__consumer_offsets" or topic not in broker.admin().list_topics().topics
    assert process.stop() == 0


def test_b8_topics_that_rows_may_not_use_are_set_aside_by_name_and_the_rest_goes_on(
    db, broker, relay
):
    good = broker.create_topic()
    reasons = {"__consumer_offsets": "__consumer_offsets", "a b": "a b", "x" * 300: "300",
               "..": "'..'", "": "empty"}
    process = relay(to_kafka(db, broker)).wait_ready()
    insert = "INSERT INTO walrelay.outbox (topic, key, payload) VALUES (%s, 'k', %s) RETURNING id"
    for topic, reason in reasons.items():
        row = wait_set_aside(db, db.value(insert, [topic, "1"]))
        assert (row["source_table"], row["sink"], row["state"]) == (
            "walrelay.outbox", "events", "parked")
        assert reason in row["error"], row
    db.sql(insert, [good, '{"n": 7}'])
    assert [number_of(record) for record in broker.consume(good, 1)] == [7]
    process.wait_settled()
    assert process.ready() and process.status()["sinks"][0]["parked"] == len(reasons)
    known = broker.admin().list_topics().topics
    assert not (set(reasons) - {"__consumer_offsets"}) & set(known)


def insert_fifty(db, key):
    """Numbers from 1 in one transaction; that of 25 brings 64 kB, random, so nothing compresses it."""
    db.sql(
        "INSERT INTO walrelay.outbox (topic, key, payload)"
        f" SELECT 't', {key}, jsonb_build_object('n', n, 'pad', CASE n WHEN 25 THEN"
        " (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 2000)) END)"
        " FROM generate_series(1, 50) n ORDER BY n"
    )


@pytest.mark.parametrize("policy", ["park_key", "halt"])
def test_b6_rows_of_a_key_stay_behind_its_refused_record_until_the_topic_takes_it(
    db, broker, relay, policy
):
    topic = broker.create_topic(partitions=1, max_message_bytes=20000)
    kafka = {"properties": {"compression.codec": "none", "linger.ms": 30}}
    settings = to_kafka(db, broker, topic, kafka=kafka, on_event_error=policy)
    process = relay(settings).wait_ready()
    insert_fifty(db, "'k'")
    if policy == "halt":
        process.wait_not_ready("halted", 30)
    else:
        until(lambda: (25, "parked", "events") in waiting(db), 30, "its head is parked")
        until(lambda: len(waiting(db, "held")) == 25, what="its successors wait")
    assert logs_by_key(broker.everything(topic)) == {b"k": list(range(1, 25))}
    broker.change_topic(topic, max_message_bytes=100000)
    if policy == "halt":
        assert process.reload()  # the file is the same: what halted was mended elsewhere
    else:
        mark(db, process.file, "redrive", "--key", "k")
    wait_all_acknowledged(db, 51)
    until(process.ready, 10, process.status)
    until(lambda: not waiting(db, "held"), 20, "the key is live again")
    records = broker.everything(topic)
    assert_all_arrived(records, set(range(1, 52)))
    # A halt lies in the middle of a transaction, which is read again whole.
    assert repeats(records) == (24 if policy == "halt" else 0)


@pytest.mark.parametrize("policy", ["park", "halt"])
@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_b6_a_record_larger_than_the_topic_takes_is_refused_by_name_and_none_else_of_its_batch(
    db, broker, relay, compression, policy
):
    topic = broker.create_topic(partitions=1, max_message_bytes=20000)
    # All of a transaction go into one batch, which the broker refuses.
    kafka = {"properties": {"compression.codec": compression, "linger.ms": 30}}
    settings = to_kafka(db, broker, topic, kafka=kafka, on_event_error=policy)
    process = relay(settings).wait_ready()
    insert_fifty(db, "'k' || n")
    guilty = db.value("SELECT id::text FROM walrelay.outbox WHERE key = 'k25'")
    if policy == "halt":
        text = process.wait_not_ready("halted", 30)
        assert guilty in text and "k25" in text and topic in text and "20000" in text, text
        assert process.stop() == 0
        step_over = {"from": "walrelay.outbox", "where": {"key": "k25"}, "to": "none"}
        process.configure({**settings, "routes": [step_over, *settings["routes"]]})
        process.start(wait=True)
    else:
        row = wait_set_aside(db, guilty, 30)
        assert (row["sink"], row["key"], row["destination"]) == ("events", "k25", topic)
        assert "20000" in row["error"], row
        assert db.value("SELECT count(*) FROM walrelay.parked") == 1
    wait_all_acknowledged(db, 51)
    assert_all_arrived(broker.everything(topic), set(range(1, 52)) - {25})
