"""Rows that can't be delivered are set aside by name, or stop the relay, as `on_event_error` says.

A halt lasts until a route steps over the row.
"""

import re

import pytest

from support.events import commit_position, emit, numbers, outbox_to, position, to_http
from support.parked import wait_set_aside
from support.relay import config
from support.receiver import Reply
from support.wait import stays, until


def halts_by_name(process, db, receiver, event, reason, table="walrelay.outbox"):
    """The relay stays and says which row; nothing behind it is sent or acknowledged."""
    text = process.wait_not_ready("halted on")
    assert f"table {table}" in text, text
    assert event is None or f"id {event}" in text, text
    assert "LSN " in text and reason in text, text
    process.wait_log("halted on")
    sent = len(receiver.requests)
    emit(db, 900, 909, keys=10)
    stays(lambda: len(receiver.requests) == sent and process.running(), 1, "nothing more is sent")
    status = process.status()
    assert status["state"] == "halted" and reason in status["halt"]
    lsn = text.partition("LSN ")[2].partition(",")[0].partition(":")[0]
    assert db.slot_state()[1] <= position(lsn), "it isn't acknowledged"
    assert process.metrics()["walrelay_ready"] == 0
    return text


def set_aside_by_name(process, db, receiver, event, reason, sink="endpoint"):
    """walrelay.parked and the log say which row and why; what stands behind it arrives."""
    row = wait_set_aside(db, event)
    assert (row["source_table"], row["sink"], row["state"]) == ("walrelay.outbox", sink, "parked")
    assert reason in row["error"], row
    said = f"{'sink ' + sink if sink else ''}.*set aside: table walrelay.outbox, id {event}, LSN "
    process.wait_log(f"{said}{row['lsn']}.*{re.escape(row['error'])}")
    emit(db, 900, 909, keys=10)
    behind = set(range(900, 910))
    until(lambda: behind <= set(numbers(receiver.requests)), what="what stands behind it")
    process.wait_settled()
    until(lambda: db.slot_state()[1] > position(row["lsn"]), what="it is acknowledged")
    status = process.status()
    parked = {one["name"]: one["parked"] for one in status["sinks"]}
    parked[""] = status["parked_without_route"]
    assert {name for name, count in parked.items() if count == 1} == {sink}, parked
    assert sum(parked.values()) == 1 and status["state"] != "halted" and process.ready()
    return row["error"]


emit_large = (
    "SELECT walrelay.emit('large', jsonb_build_object('n', 2, 'pad', repeat('x', 20000)))"
)

# By `on_event_error`.
refused_by_name = {"park": set_aside_by_name, "halt": halts_by_name}


@pytest.mark.every_major
def test_a_row_that_no_route_takes_halts_by_name_and_a_route_to_none_steps_over_it(
    db, receiver, relay
):
    sinks = {"endpoint": {"http": {"url": receiver.url}}}
    known = outbox_to("endpoint", where={"topic": "t"})
    settings = config(db, sinks, [known], on_event_error="halt")
    process = relay(settings).wait_ready()
    emit(db, 1)
    receiver.wait_for(1)
    event = db.value("SELECT walrelay.emit('stray', '{}')")
    emit(db, 2)
    text = halts_by_name(process, db, receiver, event, "no route takes it")
    assert "`to: none`" in text
    assert process.stop() == 0
    settings["routes"].insert(0, outbox_to("none", where={"topic": "stray"}))
    process.configure(settings)
    process.start(wait=True)
    until(lambda: set(numbers(receiver.requests)) == {1, 2, *range(900, 910)}, what="the rest")
    assert process.status()["discarded"] == 1
    assert process.status()["halt"] == ""


def test_a_row_that_no_route_takes_is_set_aside_by_name(db, receiver, relay):
    settings = to_http(db, receiver)
    settings["routes"] = [outbox_to("endpoint", where={"topic": "t"})]
    process = relay(settings).wait_ready()
    event = db.value("SELECT walrelay.emit('stray', '{}')")
    set_aside_by_name(process, db, receiver, event, "no route takes it", sink="")


def test_after_twenty_rows_in_a_row_without_a_route_the_relay_halts_until_the_routes_are_mended(
    db, receiver, relay
):
    settings = to_http(db, receiver)
    settings["routes"] = [outbox_to("endpoint", where={"topic": "t"})]
    process = relay(settings).wait_ready()
    stray = (
        "INSERT INTO walrelay.outbox (topic, key, payload)"
        " SELECT 'stray', 'k' || n, jsonb_build_object('n', n) FROM generate_series(%s, %s) n"
    )
    db.sql(stray, [1, 15])
    emit(db, 16)
    receiver.wait_for(1)  # one that is delivered: the count begins anew
    db.sql(stray, [17, 40])
    emit(db, 41)
    text = process.wait_not_ready("halted on table walrelay.outbox.*no route takes it")
    halted_at = db.value("SELECT id::text FROM walrelay.outbox WHERE payload = '{\"n\": 37}'")
    assert f"id {halted_at}" in text, text
    parked = "SELECT count(*) FROM walrelay.parked WHERE state = 'parked'"
    until(lambda: db.value(parked) == 35, what="those before it are set aside")
    assert numbers(receiver.requests) == [16], "nothing behind it is sent"
    assert process.stop() == 0
    process.configure(to_http(db, receiver))
    process.start(wait=True)
    until(lambda: sorted(numbers(receiver.requests)) == [16, *range(37, 42)], what="the rest")
    process.wait_settled()
    assert db.value(parked) == 35


@pytest.mark.parametrize("policy", ["park", "halt"])
def test_the_policy_of_a_route_is_for_what_it_takes_and_that_of_the_file_for_the_rest(
    policy, db, receiver, relay
):
    of_route = {"park": "halt", "halt": "park"}[policy]
    settings = to_http(db, receiver, on_event_error=policy)
    settings["routes"] = [outbox_to("endpoint", where={"topic": "t"}, on_event_error=of_route)]
    process = relay(settings).wait_ready()
    stray = "SELECT walrelay.emit('stray', '{\"n\": 1}')"
    bad = "SELECT walrelay.emit('t', '{\"n\": 2}', headers => '{\"host\": \"x\"}')"
    aside, stopped_at = (stray, bad) if policy == "park" else (bad, stray)
    event = db.value(aside)
    row = wait_set_aside(db, event)
    assert row["sink"] == ("" if policy == "park" else "endpoint")
    emit(db, 3)
    receiver.wait_for(1)
    event = db.value(stopped_at)
    assert f"id {event}" in process.wait_not_ready("halted on")
    assert numbers(receiver.requests) == [3]


def test_a_halt_is_in_the_record_until_it_is_over(db, receiver, relay):
    settings = to_http(db, receiver, on_event_error="halt")
    settings["routes"] = [outbox_to("endpoint", where={"topic": "t"})]
    process = relay(settings).wait_ready()
    emit(db, 1)
    event = db.value("SELECT walrelay.emit('stray', '{}')")
    process.wait_not_ready("halted on")
    assert process.stop() == 0
    recorded = db.value("SELECT halt FROM walrelay.progress")
    assert recorded is not None and event in recorded
    process.configure(to_http(db, receiver))
    process.start(wait=True)
    emit(db, 2)
    until(lambda: db.value("SELECT halt FROM walrelay.progress") is None, what="no halt any more")


def test_a_halt_on_the_very_first_row_is_in_the_record(db, receiver, relay):
    settings = to_http(db, receiver, on_event_error="halt")
    settings["routes"] = [outbox_to("endpoint", where={"topic": "t"})]
    relay(settings).wait_ready()
    event = db.value("SELECT walrelay.emit('stray', '{}')")
    until(
        lambda: event in (db.value("SELECT halt FROM walrelay.progress") or ""),
        20,
        "the record names the row",
    )


def test_a_row_larger_than_event_bytes_is_set_aside_by_name(db, receiver, relay):
    process = relay(to_http(db, receiver, limits={"event_bytes": "10KiB"})).wait_ready()
    event = db.value(emit_large)
    text = set_aside_by_name(process, db, receiver, event, "limits.event_bytes is 10240")
    assert "it has 20" in text
    assert 2 not in numbers(receiver.requests)


def test_a_row_larger_than_event_bytes_halts_by_name(db, receiver, relay):
    settings = to_http(db, receiver, limits={"event_bytes": "10KiB"}, on_event_error="halt")
    process = relay(settings).wait_ready()
    emit(db, 1)
    receiver.wait_for(1)
    event = db.value(emit_large)
    text = halts_by_name(process, db, receiver, event, "limits.event_bytes is 10240")
    assert "it has 20" in text
    # It can be stepped over.
    assert process.stop() == 0
    settings["routes"].insert(0, outbox_to("none", where={"topic": "large"}))
    process.configure(settings)
    process.start(wait=True)
    emit(db, 3)
    until(lambda: set(numbers(receiver.requests)) >= {1, 3}, what="what stands behind it")
    assert process.status()["discarded"] == 1


@pytest.mark.parametrize("policy", refused_by_name)
def test_a_row_with_both_payload_and_raw_is_refused_by_name(policy, db, receiver, relay):
    process = relay(to_http(db, receiver, on_event_error=policy)).wait_ready()
    event = db.value(
        "INSERT INTO walrelay.outbox (topic, payload, raw) VALUES ('t', '{}', '\\x00')"
        " RETURNING id::text"
    )
    refused_by_name[policy](process, db, receiver, event, "both payload and raw are set")


@pytest.mark.parametrize("policy", refused_by_name)
def test_a_header_that_http_does_not_allow_is_refused_by_name_and_its_value_is_not_shown(
    policy, db, receiver, relay
):
    process = relay(to_http(db, receiver, on_event_error=policy)).wait_ready()
    event = db.value(
        "SELECT walrelay.emit('t', '{}', headers => jsonb_build_object('x-note',"
        " E'c4nary\\r\\nevil: 1'))"
    )
    text = refused_by_name[policy](process, db, receiver, event, "x-note")
    assert "c4nary" not in text and "c4nary" not in process.log()


def test_an_answer_that_blames_the_event_halts_after_three_attempts(db, receiver, relay):
    receiver.answer(lambda request: Reply(422 if request.body == b'{"bad": 1}' else 200))
    process = relay(to_http(db, receiver, on_event_error="halt")).wait_ready()
    event = db.value("SELECT walrelay.emit('t', '{\"bad\": 1}', key => 'k')")
    emit(db, 1, keys=1)
    process.wait_not_ready("halted on", 25)
    attempts = [request for request in receiver.requests if request.body == b'{"bad": 1}']
    assert len(attempts) == 3
    assert {request.headers["webhook-id"] for request in attempts} == {event}
    assert db.slot_state()[1] <= commit_position(attempts[0])


@pytest.mark.every_major
def test_a_column_that_a_route_uses_and_that_is_dropped_live_halts_by_name(db, receiver, relay):
    db.sql("CREATE TABLE mail (id int, customer int, body text)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE mail")
    shape = {"id": "{id}", "key": "{customer}", "payload": "body"}
    settings = config(
        db,
        {"endpoint": {"http": {"url": receiver.url}}},
        [outbox_to("endpoint"), {"from": "public.mail", "shape": shape, "to": "endpoint"}],
    )
    process = relay(settings).wait_ready()
    db.sql("INSERT INTO mail VALUES (1, 7, 'before')")
    receiver.wait_for(1)
    db.sql("ALTER TABLE mail DROP COLUMN customer")
    db.sql("INSERT INTO mail VALUES (2, 'after')")
    halts_by_name(process, db, receiver, None, 'column "customer"', table="public.mail")
    assert [request.body for request in receiver.requests] == [b"before"]


@pytest.mark.every_major
def test_columns_that_no_route_uses_may_come_and_go(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1)
    db.sql("ALTER TABLE walrelay.outbox ADD COLUMN note text DEFAULT 'x'")
    emit(db, 2)
    db.sql("ALTER TABLE walrelay.outbox DROP COLUMN note")
    emit(db, 3)
    assert numbers(receiver.wait_for(3)) == [1, 2, 3]
    assert process.ready()


@pytest.mark.parametrize("kind", ["UPDATE", "DELETE", "TRUNCATE"])
@pytest.mark.every_major
def test_other_changes_of_an_outbox_are_logged_counted_acknowledged_and_not_delivered(
    kind, db, receiver, relay
):
    statement = {
        "UPDATE": "UPDATE walrelay.outbox SET type = 'changed'",
        "DELETE": "DELETE FROM walrelay.outbox",
        "TRUNCATE": "TRUNCATE walrelay.outbox",
    }[kind]
    db.sql(
        f"ALTER PUBLICATION {db.publication} SET (publish = 'insert, update, delete, truncate')"
    )
    db.sql("ALTER TABLE walrelay.outbox REPLICA IDENTITY FULL")
    leaves = "SELECT relid::text FROM pg_partition_tree('walrelay.outbox') WHERE isleaf"
    for [leaf] in db.sql(leaves):
        db.sql(f"ALTER TABLE {leaf} REPLICA IDENTITY FULL")
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 3)
    receiver.wait_for(3)
    before = db.wal_position()
    db.sql(statement)
    emit(db, 4)
    assert numbers(receiver.wait_for(4)) == [1, 2, 3, 4]
    process.wait_log(f"{kind} of walrelay.outbox is not delivered")
    assert process.status()["ignored_changes"] == (1 if kind == "TRUNCATE" else 3)
    until(lambda: db.slot_state()[1] > before, what="it is acknowledged")
    assert process.ready()
