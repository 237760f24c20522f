"""The shape `debezium`: the records that Debezium's Outbox Event Router really wrote, once more."""

import base64
import json

import pytest

from support.cluster import source_folder
from support.events import emit
from support.parked import wait_set_aside
from support.relay import config
from support.wait import until

recorded = json.loads(
    (source_folder / "tests/fixtures/debezium/records.json").read_text(encoding="utf-8")
)

every_kind = (
    "h_int h_big h_small h_bool h_num h_numfree h_dbl h_real h_text h_null h_ts h_ts3 h_tz h_date"
    " h_time h_bytea h_jsonb h_uuid h_arr h_iarr"
).split()

# What a route says for the options of a case; its topic follows from the case's own.
same = {"shape": "debezium"}
shapes = {
    "defaults": same,
    "plain": same,
    "plain_varchar": same,
    "default_topic": same,
    "header": {
        "shape": {
            "like": "debezium",
            "headers": {
                "eventType": "{type}",
                "aggregatetype": "{aggregatetype}",
                "id": "{id}",
                "type": "{type}",
            },
        }
    },
    "text": same,
    "jsontype": same,
    "bytea_raw": same,
    "bytea_binary": same,
    "headers_types": {
        "shape": {"like": "debezium", "headers": {name: f"{{{name}}}" for name in every_kind}}
    },
    "key_null": same,
    "key_int": same,
    "type_empty": same,
    "custom_names": {
        "shape": {
            "like": "debezium",
            "id": "{event_id}",
            "key": "{entity}",
            "payload": "body",
            "headers": {"eventType": "{etype}"},
        }
    },
    "tracing_noapi": same,
    "update_error": same,
}

json_converter = "key, value and headers are text or bytes; there is no JsonConverter"
expansion = "table.expand.json.payload: the payload is sent as Postgres prints it"
envelope = "an envelope around the payload is not offered"
event_time = "table.field.event.timestamp: the time of a record is that of sending"
partitions = "a column can't choose the partition"
tombstones = "route.tombstone.on.empty.payload: only a payload of NULL is a null value"

not_offered = {
    "tombstone": tombstones,
    "tombstone_json": tombstones,
    "tombstone_text": tombstones,
    "json": json_converter,
    "json_schemas": json_converter,
    "text_json": json_converter,
    "key_null_json": json_converter,
    "key_uuid": json_converter,
    "headers_json": json_converter,
    "bytea_json": json_converter,
    "bytea_json_schemas": json_converter,
    "bytea_string": "the name of a Java object instead of the bytes",
    "headers_string": "names of Java objects instead of bytes and free numerics",
    "expand": expansion,
    "expand_keep_null": expansion,
    "expand_keep_empty": expansion,
    "expand_string": expansion,
    "expand_schemas": expansion,
    "expand_text": expansion,
    "expand_array": expansion,
    "expand_array_obj": expansion,
    "expand_bigint": expansion,
    "envelope_json": envelope,
    "envelope_string": envelope,
    "envelope_expand": envelope,
    "ts": event_time,
    "ts3": event_time,
    "tstz": event_time,
    "tsbig": event_time,
    "partition": partitions,
    "partition_bigint": partitions,
    "regex": "route.topic.regex: `where` chooses by glob, and a template makes the topic",
    "missing_ignore": "a column that the map names must exist",
    "missing_error": "Debezium stops; the relay stalls and names the column",
    "type_null": "Debezium stops; the relay sets the event aside, or halts, and names it",
    "update_fatal": "Debezium stops at an update; it is never an event here",
}

# Where a header is Postgres' text and not Connect's.
other_text = {
    "h_numfree": b"1.2300",
    "h_ts": b"2019-03-24 20:52:59.123456",
    "h_ts3": b"2019-03-24 20:52:59.123",
    "h_time": b"20:52:59.123456",
    "h_arr": b'{a,"b c",NULL}',
    "h_iarr": b"{1,2}",
}


def raw(text):
    return None if text is None else base64.b64decode(text)


def expected(case):
    """topic -> the (key, value, headers) of its records, in their order."""
    topics = {}
    for statement in case["statements"]:
        for record in statement["records"]:
            headers = [
                (name, other_text.get(name, raw(value)) if value else raw(value))
                for name, value in record["headers"]
            ]
            topics.setdefault(record["topic"], []).append(
                (raw(record["key"]), raw(record["value"]), headers)
            )
    return topics


def route(case):
    """The route of a case. Its column of the topic is `route.by.field`."""
    settings = case["config"]
    made = {"from": f"public.t_{case['case']}", "to": "kafka", **shapes[case["case"]]}
    replacement = settings.get("route.topic.replacement")
    if replacement:
        column = settings.get("route.by.field", "aggregatetype")
        made["topic"] = replacement.replace("${routedByValue}", f"{{{column}}}")
    return made


def to(broker):
    return {"kafka": {"kafka": {"brokers": broker.bootstrap}}}


@pytest.fixture
def new_topics(broker):
    """new_topics(names): topics of one partition; they are gone after the test."""
    made = []

    def make(names):
        for name in names:
            made.append(broker.create_topic(name, partitions=1))

    yield make
    for name in made:
        broker.delete_topic(name)


def test_every_recorded_case_is_held_or_named_as_not_offered():
    assert [case["case"] for case in recorded["cases"]] == list(shapes)
    assert {case["case"] for case in recorded["other_cases"]} == set(not_offered)
    assert not set(shapes) & set(not_offered)


@pytest.mark.every_major
def test_records_are_those_of_debezium_byte_for_byte(db, broker, new_topics, relay):
    # Everything is published, as for Debezium: updates, deletes and truncates are no events.
    db.sql(
        f"ALTER PUBLICATION {db.publication} SET (publish = 'insert, update, delete, truncate')"
    )
    for case in recorded["cases"]:
        db.sql(case["ddl"])
        db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE t_{case['case']}")
    wanted = {}
    for case in recorded["cases"]:
        wanted |= expected(case)
    new_topics(wanted)
    outbox = {"from": "walrelay.outbox", "to": "none"}
    routes = [outbox, *(route(case) for case in recorded["cases"])]
    process = relay(config(db, to(broker), routes)).wait_ready()
    for case in recorded["cases"]:
        for statement in case["statements"]:
            for sql in statement["sql"]:
                db.sql(sql)
    emit(db, 1)
    until(lambda: process.status()["discarded"] == 1, what="all is read, to the row behind it")
    process.wait_settled()
    found = {
        topic: [(one.key, one.value, one.headers) for one in broker.everything(topic)]
        for topic in wanted
    }
    assert found == wanted
    assert process.stop() == 0


@pytest.mark.parametrize("policy", ["park", "halt"])
def test_a_row_without_aggregatetype_is_named_and_what_is_before_it_arrives(
    policy, db, broker, relay
):
    db.sql(
        "CREATE TABLE t_null (id uuid PRIMARY KEY, aggregatetype text, aggregateid text,"
        " payload jsonb)"
    )
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE t_null")
    topic = broker.create_topic(partitions=1)
    routes = [
        {"from": "public.t_null", "to": "kafka", "shape": "debezium", "topic": "{aggregatetype}"},
        {"from": "walrelay.outbox", "to": "none"},
    ]
    process = relay(config(db, to(broker), routes, on_event_error=policy)).wait_ready()
    identity = "59a42efd-b015-44a9-9dde-0000000000c8"
    db.sql(f"INSERT INTO t_null VALUES (gen_random_uuid(), '{topic}', 'a', '{{}}')")
    db.sql(f"INSERT INTO t_null VALUES ('{identity}', NULL, 'a', '{{}}')")
    db.sql(f"INSERT INTO t_null VALUES (gen_random_uuid(), '{topic}', 'a', '{{}}')")
    if policy == "halt":
        reason = process.wait_not_ready("aggregatetype")
        assert identity in reason
        until(lambda: process.delivered("kafka") == 1, what="what is before it")
        assert len(broker.everything(topic)) == 1
    else:
        row = wait_set_aside(db, identity)
        assert (row["source_table"], row["sink"]) == ("public.t_null", "kafka"), row
        assert "aggregatetype" in row["error"], row
        until(lambda: process.delivered("kafka") == 2, what="what is behind it as well")
        process.wait_settled()
        assert len(broker.everything(topic)) == 2, "what is behind it arrives as well"
