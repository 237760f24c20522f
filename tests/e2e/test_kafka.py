"""Rows in, Kafka records out: what arrives, in which bytes, where, and in which order."""

import contextlib
import random
import re
import threading

import pytest

from support.events import emit, outbox_to, position
from support.receiver import Reply
from support.records import (
    assert_all_arrived,
    commit_many,
    logs_by_key,
    murmur2,
    number_of,
    partition_of,
    repeats,
    to_kafka,
    wait_all_acknowledged,
)
from support.relay import config
from support.wait import stays, until

uuid_text = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.every_major
def test_a_committed_row_arrives_once_in_kafka_and_a_rolled_back_one_never(
    db, broker, relay
):
    topic = broker.create_topic()
    process = relay(to_kafka(db, broker, topic)).wait_ready()
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        cursor = connection.cursor()
        emit(db, 1, 3, cursor=cursor)
        connection.commit()
        emit(db, 100, 120, cursor=cursor)
        connection.rollback()
        emit(db, 4, cursor=cursor)
        cursor.execute("SAVEPOINT s")
        emit(db, 200, 220, cursor=cursor)
        cursor.execute("ROLLBACK TO SAVEPOINT s")
        emit(db, 5, cursor=cursor)
        connection.commit()
    wait_all_acknowledged(db, 6)
    assert process.stop() == 0
    assert [number_of(record) for record in broker.everything(topic)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.every_major
def test_a_record_has_the_rows_key_id_type_and_its_own_headers(db, broker, relay):
    topic = broker.create_topic(partitions=1)
    process = relay(to_kafka(db, broker, kafka={"metadata": False})).wait_ready()
    event = db.value(
        "SELECT walrelay.emit(%s, '{\"b\": 1}', key => 'kü 1', type => 'made', headers =>"
        " '{\"tenant\": \"7\", \"trace\": \"ä\", \"none\": null, \"count\": 3}')",
        [topic],
    )
    [record] = broker.consume(topic, 1)
    assert record.key == "kü 1".encode()
    assert record.header("id") == event
    assert dict(record.headers) == {
        "id": event.encode(),
        "type": b"made",
        "tenant": b"7",
        "trace": "ä".encode(),
        "none": None,
        "count": b"3",
        "content-type": b"application/json",
    }
    assert len(record.headers) == 7
    assert process.ready()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1.10, "b": [1e3, 0.1e-7, 12345678901234567890123], "a ": "ü \\u0001 \\" \\\\ 😀"}',
        '"a text"',
        "null",
        "-0.0",
        "{}",
    ],
)
def test_a_payload_arrives_byte_for_byte_as_postgres_prints_it(db, broker, relay, text):
    topic = broker.create_topic(partitions=1)
    relay(to_kafka(db, broker, topic))
    db.sql("INSERT INTO walrelay.outbox (topic, payload) VALUES ('t', %s)", [text])
    printed = db.value("SELECT payload::text FROM walrelay.outbox")
    [record] = broker.consume(topic, 1)
    assert record.value == printed.encode()


@pytest.mark.every_major
def test_raw_bytes_arrive_as_they_are_and_nothing_at_all_is_a_null_value(db, broker, relay):
    topic = broker.create_topic(partitions=1)
    relay(to_kafka(db, broker, topic, kafka={"metadata": False})).wait_ready()
    every_byte = bytes(range(256)) * 3
    insert = "INSERT INTO walrelay.outbox (topic, key, raw) VALUES ('t', %s, %s)"
    db.sql(insert, ["all", every_byte])
    db.sql(insert, ["empty", b""])
    db.sql(insert, ["null", None])
    records = broker.consume(topic, 3)
    assert [(record.key, record.value) for record in records] == [
        (b"all", every_byte),
        (b"empty", b""),
        (b"null", None),
    ]
    assert records[0].header("content-type") == "application/octet-stream"
    assert [name for name, _ in records[2].headers] == ["id"]
    assert all(uuid_text.fullmatch(record.header("id")) for record in records)


def test_a_null_key_is_no_key_and_an_empty_one_is_a_key_like_any_other(db, broker, relay):
    topic = broker.create_topic(partitions=4)
    relay(to_kafka(db, broker, topic)).wait_ready()
    for number in range(40):
        db.sql(
            "INSERT INTO walrelay.outbox (topic, key, payload)"
            " VALUES ('t', %s, jsonb_build_object('n', %s::int))",
            [None if number % 2 else "", number],
        )
    records = broker.consume(topic, 40)
    logs = logs_by_key(records)
    assert set(logs) == {None, b""}
    assert logs[b""] == list(range(0, 40, 2))
    assert sorted(logs[None]) == list(range(1, 40, 2))
    assert {one.partition for one in records if one.key == b""} == {partition_of(b"", 4)}


@pytest.mark.every_major
def test_metadata_tells_lsn_ordinal_transaction_table_and_epoch(db, broker, relay):
    topic = broker.create_topic(partitions=1)
    process = relay(to_kafka(db, broker, topic)).wait_ready()
    before = db.wal_position()
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        cursor = connection.cursor()
        emit(db, 1, 3, cursor=cursor)
        cursor.execute("SELECT pg_current_xact_id()::text::int8 % (2 ^ 32)::int8")
        [[xid]] = cursor.fetchall()
        connection.commit()
    emit(db, 4)
    records = broker.consume(topic, 4)
    first = records[0].header("walrelay-lsn")
    assert re.fullmatch("[0-9A-F]{1,8}/[0-9A-F]{1,8}", first)
    assert [record.header("walrelay-lsn") == first for record in records] == [True] * 3 + [False]
    assert before < position(first) < position(records[3].header("walrelay-lsn"))
    assert position(records[3].header("walrelay-lsn")) <= db.wal_position()
    ordinals = [int(record.header("walrelay-seq")) for record in records]
    assert ordinals[1] == ordinals[0] + 1 and ordinals[2] == ordinals[0] + 2
    assert ordinals[3] == ordinals[0]
    assert {record.header("walrelay-xid") for record in records[:3]} == {str(xid)}
    assert {record.header("walrelay-table") for record in records} == {"walrelay.outbox"}
    assert {record.header("walrelay-epoch") for record in records} == {
        str(process.status()["epoch"])
    }


@pytest.mark.parametrize(
    ("key", "hash_value"),
    [
        (b"kafka", 0xD067CF64),
        (b"giberish123456789", 0x8F552B0C),
        (b"1234", 0x9FC97B14),
        (b"234", 0xE7C009CA),
        (b"34", 0x873930DA),
        (b"4", 0x5A4B5CA1),
        (b"", 0x106E08D9),
    ],
)
def test_the_tests_own_murmur2_is_that_of_java(key, hash_value):
    assert murmur2(key) == hash_value


@pytest.mark.every_major
def test_rows_of_one_key_keep_commit_order_in_kafka_on_the_partition_of_murmur2(
    db, broker, relay
):
    """Writers lock a counter of the key, so that its numbers ascend by commit."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    topic = broker.create_topic(partitions=4)
    keys = [f"key {number} ü" for number in range(30)] + ["", "a", "ab", "abc", "abcd"]
    db.sql("CREATE TABLE counter (key text PRIMARY KEY, n int DEFAULT 0)")
    db.sql("INSERT INTO counter SELECT unnest(%s)", [keys])
    process = relay(to_kafka(db, broker, topic)).wait_ready()

    def write(choices):
        with contextlib.closing(db.conn()) as connection:
            for _ in range(300):
                connection.cursor().execute(
                    "WITH moved AS (UPDATE counter SET n = n + 3 WHERE key = %s RETURNING key, n)"
                    " INSERT INTO walrelay.outbox (topic, key, payload)"
                    " SELECT 't', key, jsonb_build_object('n', n - 3 + step)"
                    " FROM moved, generate_series(1, 3) step ORDER BY step",
                    [choices.choice(keys)],
                )

    writers = [
        threading.Thread(target=write, args=[random.Random(seed + number)]) for number in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    until(lambda: process.delivered("events") >= 3600, 30, "all are delivered")
    records = broker.everything(topic)
    assert len(records) == 3600
    for key, log in logs_by_key(records).items():
        assert log == list(range(1, len(log) + 1)), key
    assert {record.partition for record in records} == {0, 1, 2, 3}
    for record in records:
        assert record.partition == partition_of(record.key, 4), record.key


def test_b12_a_topic_that_gets_more_partitions_goes_on_and_says_that_keys_move(db, broker, relay):
    topic = broker.create_topic(partitions=2)
    properties = {"topic.metadata.refresh.interval.ms": 200}
    process = relay(to_kafka(db, broker, topic, kafka={"properties": properties})).wait_ready()
    emit(db, 1, 100, keys=50)
    until(lambda: process.delivered("events") == 100, what="two partitions")
    broker.add_partitions(topic, 8)
    process.wait_log(f"sink events: topic {topic}.*from 2 to 8")
    emit(db, 101, 200, keys=50)
    wait_all_acknowledged(db, 201)
    records = broker.everything(topic)
    assert_all_arrived([one for one in records if number_of(one) <= 100], range(1, 101))
    assert_all_arrived([one for one in records if number_of(one) > 100], range(101, 202))
    assert repeats(records) == 0
    for record in records:
        partitions = 2 if number_of(record) <= 100 else 8
        assert record.partition == partition_of(record.key, partitions), record
    assert process.ready()


def test_a_row_for_kafka_and_http_is_acknowledged_only_when_both_have_it(
    db, broker, receiver, relay
):
    missing = "comes-later-" + db.name.replace("_", "-")
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    there = broker.create_topic()
    sinks = {
        "events": {"kafka": {"brokers": broker.bootstrap}},
        "endpoint": {"http": {"url": receiver.url + "/in"}},
    }
    process = relay(config(db, sinks, [outbox_to(["events", "endpoint"])])).wait_ready()
    insert = "INSERT INTO walrelay.outbox (topic, payload) VALUES (%s, '{\"n\": 1}')"
    start = db.wal_position()

    def is_acknowledged(after):
        return db.slot_state()[1] > after

    db.sql(insert, [there])
    [record] = broker.consume(there, 1)
    [request] = receiver.wait_for(1)
    assert request.headers["webhook-id"] == record.header("id")
    stays(lambda: not is_acknowledged(start), 1.5, "Kafka alone is not enough")
    receiver.answer(Reply())
    gate.open()
    until(lambda: is_acknowledged(start), what="both have it")

    start = db.wal_position()
    db.sql(insert, [missing])
    receiver.wait_for(2)
    process.wait_not_ready(missing)
    assert not is_acknowledged(start), "HTTP alone is not enough"
    broker.create_topic(missing)
    until(lambda: is_acknowledged(start), 90, "both have it")
    assert len(broker.everything(missing)) == 1 == len(broker.everything(there))
    assert len(receiver.requests) == 2


def test_what_is_acknowledged_at_sigterm_is_in_kafka_and_a_restart_repeats_and_loses_nothing(
    db, broker, relay
):
    topic = broker.create_topic()
    numbers = commit_many(db, 40000)
    # 5000 in a second at most, however fast the machine is: the stop comes in the middle.
    slowly = {"properties": {"linger.ms": 1000}}
    process = relay(to_kafka(db, broker, topic, kafka=slowly, limits={"in_flight_events": 5000}))
    process.wait_ready()
    until(lambda: process.delivered("events") > 1000, what="it is in full flow", every=0.001)
    assert process.stop() == 0
    acknowledged = db.slot_state()[1]
    at_stop = broker.everything(topic)
    assert 1000 < len(at_stop) < len(numbers), "it was stopped in full flow"
    process.start()
    wait_all_acknowledged(db, 40000)
    records = broker.everything(topic)
    assert_all_arrived(records, range(40001))
    assert repeats(records) == 0
    there = {number_of(record) for record in at_stop}
    for record in records:
        if position(record.header("walrelay-lsn")) < acknowledged:
            assert number_of(record) in there
