"""A sink that an operator paused gets nothing; the others, and what is on the wire, go on."""

from support.events import by_key, emit, numbers, outbox_to, to_http
from support.parked import pause, resume, waiting
from support.receiver import Reply
from support.relay import config
from support.wait import stays, until


def test_a_paused_sink_gets_nothing_until_it_is_resumed_also_over_a_restart_and_a_full_window(
    db, receiver, relay
):
    process = relay(to_http(db, receiver, limits={"in_flight_events": 10})).wait_ready()
    pause(process, "endpoint")
    for first in range(0, 100, 10):
        emit(db, first, first + 9, keys=10)
    stays(lambda: not receiver.requests, 1, "nothing is sent")
    assert process.stop() == 0
    process.start()
    process.wait_not_ready("sink endpoint is paused by an operator")
    until(lambda: process.status()["limit_held_by"] != "", what="the window is full")
    assert not receiver.requests
    resume(process, "endpoint")
    until(lambda: set(numbers(receiver.requests)) == set(range(100)), 20, "it goes on")
    process.wait_ready()


def test_attempts_that_are_on_the_wire_when_a_sink_is_paused_end_and_count_and_none_follows(
    db, receiver, relay
):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 0, 19, keys=10)
    receiver.wait_for(10)
    pause(process, "endpoint")
    assert process.status()["sinks"][0]["in_flight"] == 10
    receiver.answer(Reply())
    gate.open()
    until(lambda: process.delivered("endpoint") == 10, what="they end, and count")
    emit(db, 20, 29, keys=10)
    until(lambda: process.status()["in_flight_events"] == 20, what="the others are read")
    stays(lambda: len(receiver.requests) == 10, 1, "nothing new is sent")
    assert process.delivered("endpoint") == 10

    resume(process, "endpoint")
    receiver.wait_for(30)
    process.wait_settled()
    assert by_key(receiver.requests) == {f"k{n}": [n, n + 10, n + 20] for n in range(10)}
    assert {one.headers["x-walrelay-attempt"] for one in receiver.requests} == {"1"}


def test_an_attempt_that_fails_while_its_sink_is_paused_is_made_again_only_after_the_resume(
    db, receiver, relay
):
    gate = receiver.gate()
    receiver.answer(Reply(503, gate=gate))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1)
    receiver.wait_for(1)
    pause(process, "endpoint")
    receiver.answer(Reply())
    gate.open()
    until(lambda: process.status()["sinks"][0]["in_flight"] == 0, what="it has failed")
    stays(lambda: len(receiver.requests) == 1, 1, "its wait of 0.2 s is over long ago")
    resume(process, "endpoint")
    assert [one.headers["x-walrelay-attempt"] for one in receiver.wait_for(2)] == ["1", "2"]


def test_other_sinks_go_on_beside_a_paused_one_until_a_limit_is_full(
    db, receiver, other_receiver, relay
):
    sinks = {
        "paused": {"http": {"url": receiver.url}},
        "other": {"http": {"url": other_receiver.url}},
    }
    both = outbox_to(["paused", "other"])
    process = relay(config(db, sinks, [both], limits={"in_flight_events": 50})).wait_ready()
    pause(process, "paused")
    emit(db, 0, 39, keys=10)
    until(lambda: len(other_receiver.requests) == 40, what="the other one gets them")
    assert process.status()["limit_held_by"] == "", "there is room"
    emit(db, 40, 99, keys=10)
    until(lambda: "in_flight_events" in process.status()["limit_held_by"], what="a limit is full")
    until(lambda: len(other_receiver.requests) == 50, what="what was read is sent to the other")
    stays(lambda: len(other_receiver.requests) == 50, 1, "no more is read")
    assert receiver.requests == []

    resume(process, "paused")
    for endpoint in (receiver, other_receiver):
        until(lambda endpoint=endpoint: len(endpoint.requests) == 100, 20, "all arrive")
        assert by_key(endpoint.requests) == {
            f"k{n}": list(range(n, 100, 10)) for n in range(10)
        }


def test_a_held_key_of_a_paused_sink_gets_nothing_until_the_resume_and_then_all_in_order(
    db, receiver, relay
):
    receiver.answer(lambda one: Reply(500 if one.headers["x-walrelay-key"] == "k0" else 200))
    process = relay(to_http(db, receiver, limits={"hold": "1s"})).wait_ready()
    for first in range(0, 80, 20):
        emit(db, first, first + 19, keys=4)
    until(lambda: process.status()["sinks"][0]["held_keys"] == 1, 20, "the key is held")
    pause(process, "endpoint")
    until(lambda: process.status()["sinks"][0]["in_flight"] == 0, what="its last attempt ends")
    receiver.answer(Reply())
    before = list(receiver.requests)
    assert set(by_key(before)["k0"]) == {0}
    emit(db, 80, 99, keys=4)
    until(lambda: len(waiting(db, "held")) == 25, what="more of the key wait in the table")
    stays(lambda: len(receiver.requests) == len(before), 2, "nothing is sent, not even a probe")

    resume(process, "endpoint")
    until(lambda: process.status()["sinks"][0]["held_keys"] == 0, 90, "the key is live again")
    emit(db, 100, 103, keys=4)
    until(lambda: set(numbers(receiver.requests)) == set(range(104)), what="all of it")
    logs = by_key(receiver.requests)
    assert by_key(receiver.requests[len(before) :])["k0"] == list(range(0, 104, 4))
    assert all(logs[f"k{n}"] == list(range(n, 104, 4)) for n in (1, 2, 3))
