"""A key that is held waits in the table: it holds no limit, and the sink is well without it."""

import pytest

from support.events import emit, outbox_to, to_http
from support.receiver import Reply
from support.relay import config, run_command
from support.wait import stays, until


@pytest.fixture
def with_held_key(db, receiver, relay):
    """A relay that holds k0, whose attempts hang from now on; all else is delivered."""
    receiver.answer(lambda one: Reply(500 if one.headers["x-walrelay-key"] == "k0" else 200))
    limits = {"in_flight_events": 20}
    patient = {"timeout": "2m"}  # what hangs is to hang until the held key is tried
    process = relay(to_http(db, receiver, http=patient, limits=limits)).wait_ready()
    for first in range(0, 200, 10):
        emit(db, first, first + 9, keys=5)
    until(lambda: process.status()["sinks"][0]["held_keys"] == 1, 20, "the key is held")
    until(lambda: process.status()["sinks"][0]["delivered"] == 160, 20, "the rest is delivered")
    until(lambda: process.status()["in_flight_events"] == 0, 20, "all of k0 is set aside")
    return process


def hang(receiver):
    """No request is answered from now on, before the gate opens; gives it, and their keys."""
    gate, keys = receiver.gate(), []

    def answer(request):
        keys.append(request.headers["x-walrelay-key"])
        return Reply(gate=gate)

    receiver.answer(answer)
    return gate, keys


def test_a_full_limit_does_not_name_a_key_that_is_held(with_held_key, db, receiver):
    gate, keys = hang(receiver)
    emit(db, 1021, 1079, keys=60)  # none of them of k0, and 20 fill the limit
    until(lambda: with_held_key.status()["limit_held_by"], what="the limit is full")
    until(lambda: "k0" in keys, 90, "the held key is tried")
    text = with_held_key.status()["limit_held_by"]
    gate.open()
    assert text.startswith("limits.in_flight_events") and "k0" not in text, text


def test_a_relay_that_has_nothing_to_do_but_a_held_key_stays_ready(with_held_key, receiver):
    gate, keys = hang(receiver)
    until(lambda: "k0" in keys, 90, "the held key is tried")
    try:
        stays(with_held_key.ready, 7, lambda: with_held_key.get("/readyz"))
    finally:
        gate.open()


def test_a_dead_url_whose_last_event_is_dropped_is_no_stall_any_more(db, receiver, relay):
    receiver.answer(lambda request: Reply(404 if request.path == "/gone" else 200))
    sinks = {"endpoint": {"http": {"url": receiver.url + "/{topic}"}}}
    process = relay(config(db, sinks, [outbox_to("endpoint")], limits={"hold": "1s"})).wait_ready()
    db.sql("SELECT walrelay.emit('gone', '{}', 'k')")

    def held():
        db.sql("SELECT walrelay.emit('here', '{}', 'others')")
        return process.status()["sinks"][0]["held_keys"] == 1

    until(held, 60, "the key is held", every=0.2)
    process.wait_not_ready("sink endpoint stalls, target /gone: HTTP 404")
    row = until(lambda: db.value("SELECT max(id) FROM walrelay.parked"), what="it is written down")
    drop = run_command("parked", "drop", row, "-c", process.file)
    assert drop.returncode == 0, drop.stderr
    until(lambda: process.status()["sinks"][0]["held_keys"] == 0, 30, "it is dropped")
    until(process.ready, 20, lambda: process.get("/readyz")[1])
