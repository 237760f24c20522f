"""Rows in, requests out: what arrives, how often, and in which order."""

import contextlib
import json
import random

import pytest

from support.events import Arrivals, by_key, commit_position, emit, numbers, to_http, to_stdout
from support.receiver import Reply
from support.wait import stays, until


@pytest.mark.every_major
def test_a_committed_row_arrives_once_a_rolled_back_row_or_savepoint_never(
    db, receiver, relay
):
    process = relay(to_http(db, receiver)).wait_ready()
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
        cursor.execute("SAVEPOINT t")
        emit(db, 6, cursor=cursor)
        cursor.execute("RELEASE SAVEPOINT t")
        connection.commit()
    emit(db, 7)
    receiver.wait_for(7)
    process.wait_settled()
    assert process.stop() == 0
    assert numbers(receiver.requests) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.every_major
def test_an_event_arrives_as_it_was_written(db, receiver, relay):
    relay(to_http(db, receiver)).wait_ready()
    event = db.value(
        "SELECT walrelay.emit('t', '{\"b\": 1.10, \"a\": \"ü\"}', key => 'kü 1', type => 'made',"
        " headers => '{\"tenant\": \"7\"}')"
    )
    raw = db.value("SELECT walrelay.emit_raw('t', '\\x000aff'::bytea)")
    found = {request.headers["webhook-id"]: request for request in receiver.wait_for(2)}
    first, second = found[event], found[raw]
    assert (first.method, first.path) == ("POST", "/in")
    assert json.loads(first.body) == {"a": "ü", "b": 1.10}
    assert b"1.10" in first.body
    assert first.headers["content-type"] == "application/json"
    assert first.headers["x-walrelay-key"] == "k%C3%BC 1"
    assert first.headers["x-walrelay-type"] == "made"
    assert first.headers["tenant"] == "7"
    assert first.headers["x-walrelay-attempt"] == "1"
    assert second.body == b"\x00\x0a\xff"
    assert second.headers["content-type"] == "application/octet-stream"
    assert "x-walrelay-key" not in second.headers


@pytest.mark.every_major
def test_stdout_gets_a_json_line_for_each_event(db, relay):
    process = relay(to_stdout(db)).wait_ready()
    emit(db, 1, 500, keys=7)
    until(lambda: len(process.output()) >= 500, what="500 lines")
    lines = process.output()
    assert [line["payload"]["n"] for line in lines] == list(range(1, 501))
    assert {line["table"] for line in lines} == {"walrelay.outbox"}
    assert lines[8]["key"] == "k2" and lines[8]["type"] == "counted"
    assert len({line["id"] for line in lines}) == 500


@pytest.mark.every_major
def test_rows_of_one_key_keep_commit_order_over_http(db, receiver, relay):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    delays = random.Random(seed)
    # Some answers are late, so that keys overtake each other.
    receiver.answer(lambda request: Reply(delay=delays.choice([0, 0, 0, 0.01])))
    relay(to_http(db, receiver)).wait_ready()
    # The row that was written first is committed last.
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        emit(db, 1000, keys=20, cursor=connection.cursor())
        for first in range(0, 1000, 50):
            emit(db, first, first + 49, keys=20)
        connection.commit()
    receiver.wait_for(1001)
    found = by_key(receiver.requests)
    assert len(found) == 20
    for key, arrived in found.items():
        assert arrived == sorted(arrived), key


def test_one_keys_500_does_not_hold_up_the_others_and_it_arrives_in_order_when_it_heals(
    db, receiver, relay
):
    broken = {"k0"}
    receiver.answer(
        lambda request: Reply(500) if request.headers["x-walrelay-key"] in broken else Reply()
    )
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 0, 99, keys=10)
    until(lambda: process.delivered("endpoint") == 90, what="the other nine keys")
    assert {number for number in numbers(receiver.requests) if number % 10 == 0} == {0}
    assert process.ready(), "one key doesn't make the relay unready"
    [stall] = process.status()["sinks"][0]["stalls"]
    assert stall["scope"] == "key" and stall["name"] == "k0" and "HTTP 500" in stall["reason"]
    assert process.status()["in_flight_events"] == 10
    broken.clear()
    process.wait_settled(40)
    healed = [number for number in numbers(receiver.requests) if number % 10 == 0]
    assert healed == [0] * (len(healed) - 10) + list(range(0, 100, 10))


@pytest.mark.every_major
def test_a_prepared_transaction_arrives_at_commit_prepared_and_not_before(
    db, receiver, relay
):
    relay(to_http(db, receiver)).wait_ready()
    with contextlib.closing(db.conn()) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        emit(db, 1, 3, cursor=cursor)
        cursor.execute(f"PREPARE TRANSACTION '{db.name}'")
        emit(db, 10, cursor=cursor)
        assert numbers(receiver.wait_for(1)) == [10]
        cursor.execute(f"COMMIT PREPARED '{db.name}'")
    receiver.wait_for(4)
    emit(db, 11)
    assert numbers(receiver.wait_for(5)) == [10, 1, 2, 3, 11]


def test_a_repeat_after_a_lost_reply_has_the_same_id_and_bytes(db, receiver, relay):
    receiver.answer(
        lambda request: Reply(lost=request.headers["x-walrelay-attempt"] == "1", status=200)
    )
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 20, keys=20)
    until(lambda: process.delivered("endpoint") == 20, what="20 deliveries")
    arrivals = Arrivals.of(receiver.requests)
    assert arrivals.distinct == set(range(1, 21))
    assert arrivals.repeats >= 20
    assert arrivals.differing == []


@pytest.mark.every_major
def test_a_clean_restart_repeats_nothing(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    for start in range(0, 2000, 100):
        emit(db, start, start + 99, keys=10)
    receiver.wait_for(300)
    assert process.stop() == 0
    emit(db, 2000, 2009)
    process.start(wait=True)
    receiver.wait_for(2010)
    process.wait_settled()
    assert process.stop() == 0
    assert sorted(numbers(receiver.requests)) == list(range(2010))


def test_a_clean_restart_repeats_nothing_while_reading_is_paused(db, receiver, relay):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(to_http(db, receiver, limits={"in_flight_events": 40})).wait_ready()
    for start in range(0, 1000, 10):
        emit(db, start, start + 9, keys=100)
    until(lambda: process.status()["limit_held_by"], what="reading is paused")
    held = len(receiver.wait_for(32))
    process.terminate()
    process.wait_log("stopping: what was read is delivered first")
    receiver.answer(Reply())
    gate.open()
    assert process.wait_exit() == 0
    assert held <= len(receiver.requests) < 1000
    process.start(wait=True)
    receiver.wait_for(1000)
    process.wait_settled()
    assert process.stop() == 0
    assert sorted(numbers(receiver.requests)) == list(range(1000))


@pytest.mark.every_major
def test_a_clean_restart_ends_the_transaction_that_is_being_read(db, receiver, relay):
    receiver.answer(Reply(delay=0.002))
    process = relay(to_http(db, receiver, limits={"in_flight_events": 40})).wait_ready()
    emit(db, 0, 2999, keys=500)
    receiver.wait_for(500)
    assert process.stop() == 0
    process.start(wait=True)
    emit(db, 3000)
    until(lambda: 3000 in numbers(receiver.requests[-500:]), 30, "the row behind it")
    process.wait_settled()
    assert sorted(numbers(receiver.requests)) == list(range(3001))


def test_nothing_is_acknowledged_before_it_is_delivered(db, receiver, relay):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 5, keys=5)
    receiver.wait_for(5)
    first_commit = min(map(commit_position, receiver.requests))
    stays(lambda: db.slot_state()[1] <= first_commit, 2, "the slot stays before the row")
    gate.open()
    until(lambda: db.slot_state()[1] > first_commit, what="the slot moves")
    process.wait_settled()
