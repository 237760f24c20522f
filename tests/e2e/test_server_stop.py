"""A stop of the server isn't held up by the relay, and what was not delivered comes after it."""

import time

import pytest

from support.events import Arrivals, emit, to_http
from support.receiver import Reply
from support.wait import until


@pytest.fixture
def own_db(new_cluster, new_db):
    return new_db(new_cluster())


def stop_and_measure(server, mode, limit):
    start = time.monotonic()
    server.stop(mode, limit)
    return time.monotonic() - start


def restarts_and_all_arrives(database, receiver, process, total):
    receiver.answer(Reply())
    database.cluster.start()
    until(lambda: Arrivals.of(receiver.requests).distinct == set(range(total)), 40, "all rows")
    process.wait_ready(20)
    emit(database, total)
    until(lambda: total in Arrivals.of(receiver.requests).distinct, 20, "a row after the restart")
    assert Arrivals.of(receiver.requests).differing == []


@pytest.mark.every_major
def test_a_fast_stop_is_not_held_up_by_an_idle_relay(own_db, receiver, relay):
    process = relay(to_http(own_db, receiver)).wait_ready()
    emit(own_db, 0, 9)
    receiver.wait_for(10)
    process.wait_settled()
    assert stop_and_measure(own_db.cluster, "fast", 20) <= 4.5
    process.wait_not_ready("")
    restarts_and_all_arrives(own_db, receiver, process, 10)


def test_a_smart_stop_is_not_held_up_by_an_idle_relay(own_db, receiver, relay):
    process = relay(to_http(own_db, receiver)).wait_ready()
    emit(own_db, 0, 9)
    receiver.wait_for(10)
    process.wait_settled()
    # A smart stop waits for ordinary sessions: the relay keeps none that it doesn't use.
    until(
        lambda: own_db.value(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
            " AND backend_type = 'client backend'",
            [own_db.relay_user],
        )
        == 0,
        15,
        "the relay closes its idle session",
    )
    assert own_db.slot_state()[0], "the stream goes on"
    assert stop_and_measure(own_db.cluster, "smart", 20) <= 4.5
    restarts_and_all_arrives(own_db, receiver, process, 10)


@pytest.mark.every_major
def test_a_fast_stop_is_not_held_up_by_undelivered_rows(own_db, receiver, relay):
    receiver.answer(Reply(503))
    process = relay(to_http(own_db, receiver)).wait_ready()
    emit(own_db, 0, 49, keys=10)
    receiver.wait_for(10)
    stop_and_measure(own_db.cluster, "fast", 20)
    restarts_and_all_arrives(own_db, receiver, process, 50)


def test_a_fast_stop_is_not_held_up_by_a_paused_reader(own_db, receiver, relay):
    receiver.answer(Reply(503))
    limits = {"in_flight_events": 20}
    process = relay(to_http(own_db, receiver, limits=limits)).wait_ready()
    for first in range(0, 40000, 2000):
        emit(own_db, first, first + 1999, keys=100, bytes_each=200)
    until(lambda: process.status()["limit_held_by"], what="reading is paused")
    stop_and_measure(own_db.cluster, "fast", 20)
    assert process.running()
    receiver.answer(Reply())
    own_db.cluster.start()
    until(
        lambda: Arrivals.of(receiver.requests).distinct == set(range(40000)),
        60,
        lambda: f"all rows: {process.status()}",
        every=0.5,
    )
    process.wait_ready(20)
    assert Arrivals.of(receiver.requests).differing == []


def test_a_fast_stop_is_not_held_up_by_an_endpoint_that_hangs(own_db, receiver, relay):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(to_http(own_db, receiver, http={"timeout": "60s"})).wait_ready()
    emit(own_db, 0, 9, keys=10)
    receiver.wait_for(10)
    stop_and_measure(own_db.cluster, "fast", 20)
    gate.open()
    restarts_and_all_arrives(own_db, receiver, process, 10)


def test_a_fast_stop_under_load_loses_nothing(own_db, receiver, relay):
    process = relay(to_http(own_db, receiver)).wait_ready()
    for first in range(0, 3000, 100):
        emit(own_db, first, first + 99, keys=20)
    receiver.wait_for(500)
    stop_and_measure(own_db.cluster, "fast", 20)
    restarts_and_all_arrives(own_db, receiver, process, 3000)
