"""A key that is held waits in the table: it holds no limit, and the sink is well without it."""

import pytest

from support.events import emit, to_http
from support.receiver import Reply
from support.wait import stays, until


@pytest.fixture
def with_held_key(db, receiver, relay):
    """A relay that holds k0, whose attempts hang from now on; all else is delivered."""
    receiver.answer(lambda one: Reply(500 if one.headers["x-walrelay-key"] == "k0" else 200))
    limits = {"in_flight_events": 20}
    process = relay(to_http(db, receiver, limits=limits)).wait_ready()
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
