"""SIGTERM: how long the relay takes to end, whatever it is doing.

The limits leave two or three seconds to a machine that is busy with other things.
"""

import time

import pytest

from support.events import Arrivals, emit, to_discard, to_http
from support.receiver import Reply
from support.slot_holder import slot_held
from support.wait import until


def stop_and_measure(process, code=0):
    start = time.monotonic()
    assert process.stop() == code
    return time.monotonic() - start


@pytest.mark.every_major
def test_sigterm_of_an_idle_relay_takes_no_time(db, relay):
    process = relay(to_discard(db)).wait_ready()
    emit(db, 1, 100)
    until(lambda: process.delivered("nothing") == 100, what="the rows are delivered")
    assert stop_and_measure(process) < 5
    until(lambda: db.slot_state()[0] is None, what="the slot is free")


def test_sigterm_exits_0_within_13_seconds_when_the_endpoint_hangs(db, receiver, relay):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(to_http(db, receiver, http={"timeout": "60s"})).wait_ready()
    emit(db, 0, 49, keys=50)
    receiver.wait_for(10)
    assert stop_and_measure(process) < 13
    assert "come again after the restart" in process.log()
    gate.open()
    receiver.answer(Reply())
    before = len(receiver.requests)
    process.start(wait=True)
    receiver.wait_for(before + 50)
    assert Arrivals.of(receiver.requests).distinct == set(range(50))


def test_a_second_sigterm_stops_at_once(db, receiver, relay):
    receiver.answer(Reply(gate=receiver.gate()))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 0, 9, keys=10)
    receiver.wait_for(10)
    process.terminate()
    process.wait_log("a second signal stops at once")
    start = time.monotonic()
    process.terminate()
    process.wait_exit()
    assert time.monotonic() - start < 5
    assert "stopped at once" in process.log()


def test_sigterm_while_the_endpoint_refuses_does_not_wait(db, receiver, relay):
    receiver.answer(Reply(503))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 0, 9, keys=10)
    # So many keys that fail are the sink's fault: it is asked by one event at a time.
    process.wait_not_ready("sink endpoint stalls: HTTP 503")
    receiver.wait_for(12)
    assert stop_and_measure(process) < 5
    assert "10 events are not delivered; they come again after the restart" in process.log()


def test_sigterm_while_waiting_for_the_slot_ends_within_2_seconds(db, relay):
    with slot_held(db):
        process = relay(to_discard(db))
        process.wait_log("waiting until it is free")
        assert stop_and_measure(process) < 5


@pytest.mark.parametrize("where", ["127.0.0.1", "192.0.2.1"], ids=["refused", "black hole"])
def test_sigterm_while_postgres_is_away_ends_within_2_seconds(where, db, relay):
    settings = to_discard(db)
    settings["source"]["conninfo"] = f"host={where} port=1 dbname=x user=x"
    process = relay(settings)
    process.wait_not_ready("connect|not connected")
    assert stop_and_measure(process) < 5


def test_sigint_stops_as_sigterm_does(db, relay):
    process = relay(to_discard(db)).wait_ready()
    process.interrupt()
    assert process.wait_exit() == 0


def test_sigterm_right_after_the_start_ends_within_2_seconds(db, relay):
    process = relay(to_discard(db))
    process.wait_log("walrelay .* with")
    assert stop_and_measure(process) < 5
