"""HTTP endpoints as they are in life: slow, closing, refusing, redirecting."""

import time

import pytest

from support.events import by_key, emit, numbers, to_http
from support.receiver import Receiver, Reply
from support.wait import stays, until


@pytest.fixture
def other_receiver():
    server = Receiver()
    yield server
    server.close()


def insert(database, topic, key, headers=None):
    """Commits one event with the body 1; its id."""
    return database.value(
        "INSERT INTO walrelay.outbox (topic, key, payload, headers)"
        " VALUES (%s, %s, '1', %s) RETURNING id::text",
        [topic, key, headers],
    )


@pytest.mark.every_major
def test_one_request_of_a_key_is_on_the_way_at_a_time_while_other_keys_go_in_parallel(
    db, receiver, relay
):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(to_http(db, receiver, http={"connections": 20})).wait_ready()
    for first in range(0, 60, 20):
        emit(db, first, first + 19, keys=20)
    held = receiver.wait_for(20)
    assert sorted(numbers(held)) == list(range(20)), "the first of each key"
    assert receiver.open_connections == 20
    stays(lambda: len(receiver.requests) == 20, 0.5, "the second of a key waits for the first")
    receiver.answer(Reply(delay=0.005))
    gate.open()
    receiver.wait_for(60)
    for key, log in by_key(receiver.requests).items():
        assert log == sorted(log), key
    until(lambda: process.delivered("endpoint") == 60, what="all are delivered")
    assert len(receiver.requests) == 60 and receiver.connections == 20


@pytest.mark.every_major
def test_when_the_reply_is_lost_the_repeat_has_the_same_id_and_bytes_and_is_attempt_2(
    db, receiver, relay
):
    """C10; that the signature of a repeat is valid is in test_http_security.py."""
    receiver.answer(lambda request: Reply(lost=len(receiver.requests) == 1))
    process = relay(to_http(db, receiver, {"signing": None})).wait_ready()
    event = insert(db, "t", "k")
    first, second = receiver.wait_for(2)
    until(lambda: process.delivered("endpoint") == 1, what="it is delivered")
    assert first.headers["webhook-id"] == event == second.headers["webhook-id"]
    assert first.body == second.body == b"1"
    changing = {"webhook-timestamp", "x-walrelay-attempt"}
    kept = [
        {name: value for name, value in request.headers.items() if name not in changing}
        for request in (first, second)
    ]
    assert kept[0] == kept[1]
    attempts = [request.headers["x-walrelay-attempt"] for request in (first, second)]
    assert attempts == ["1", "2"]


def test_401_stalls_the_sink_by_name_and_it_heals_when_the_endpoint_accepts(db, receiver, relay):
    receiver.answer(Reply(401))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 30, keys=30)
    text = process.wait_not_ready("401")
    assert "sink endpoint stalls" in text, text
    process.wait_log("sink endpoint stalls: HTTP 401")
    asked = len(receiver.requests)
    assert process.running() and process.delivered("endpoint") == 0
    receiver.answer(Reply())
    until(lambda: process.delivered("endpoint") == 30, 90, "all are delivered")
    assert process.wait_ready()
    assert asked < 100, "a sink that stalls is asked now and then only"
    assert len(receiver.requests) - asked <= 30 + 32
    process.wait_log("sink endpoint goes on")


@pytest.mark.parametrize("status", [404, 410])
def test_a_path_that_is_missing_or_gone_stalls_by_name_and_alone(db, receiver, relay, status):
    """C8: 410."""
    missing = {"/in/gone"}
    receiver.answer(lambda request: Reply(status if request.path in missing else 200))
    process = relay(to_http(db, receiver, http={"url": receiver.url + "/in/{topic}"})).wait_ready()
    for number in range(5):
        insert(db, "gone", f"g{number}")
        insert(db, "there", f"t{number}")
    until(lambda: process.delivered("endpoint") == 5, what="the other path goes on")
    text = process.wait_not_ready(f"HTTP {status}")
    assert "sink endpoint" in text and "/in/gone" in text and "/in/there" not in text, text
    insert(db, "there", "t0")
    until(lambda: process.delivered("endpoint") == 6, what="the other path still goes on")
    missing.clear()
    until(lambda: process.delivered("endpoint") == 11, 90, "the path goes on when it answers")
    process.wait_ready()
    accepted = [request.headers["x-walrelay-key"] for request in receiver.requests[-5:]]
    assert sorted(accepted) == [f"g{number}" for number in range(5)]


def test_429_with_retry_after_holds_the_endpoint_that_long(db, receiver, relay):
    receiver.answer(
        lambda request: Reply(429, {"retry-after": "2"}) if len(receiver.requests) == 1 else Reply()
    )
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 0)
    [refused] = receiver.wait_for(1)
    until(lambda: process.status()["sinks"][0]["retried"]["transient"] == 1, what="it is read")
    emit(db, 1, 20, keys=20)
    requests = receiver.wait_for(22)
    assert min(request.at for request in requests[1:]) >= refused.at + 1.95
    assert requests[1].at < refused.at + 9
    assert sorted(numbers(requests)) == [0, *range(21)]
    until(lambda: process.delivered("endpoint") == 21, what="all are delivered")
    assert process.ready()


def test_requests_keep_to_the_rate_also_those_behind_a_429(db, receiver, relay):
    """C12."""
    receiver.answer(
        lambda request: Reply(429, {"retry-after": "0"}) if len(receiver.requests) <= 3 else Reply()
    )
    process = relay(to_http(db, receiver, http={"rate": "20/s"})).wait_ready()
    started = time.monotonic()
    emit(db, 0, 49, keys=50)
    until(lambda: process.delivered("endpoint") == 50, 20, "all are delivered")
    times = [request.at for request in receiver.requests]
    assert len(times) >= 53
    # 52 pauses of 50 ms; not from the first request on, which a busy machine may see late.
    assert times[-1] - started > 2.5, times
    assert sorted(set(numbers(receiver.requests))) == list(range(50))


def test_a_sink_that_keeps_to_a_slow_rate_is_ready_while_rows_wait(db, receiver, relay):
    process = relay(to_http(db, receiver, http={"rate": "9/m"})).wait_ready()
    emit(db, 0, 9, keys=10)
    until(lambda: receiver.requests, what="the first is sent")
    stays(process.ready, 6.5, lambda: process.get("/readyz"))
    assert len(receiver.requests) <= 3


def test_400_three_times_over_ten_seconds_halts_by_name(db, receiver, relay):
    receiver.answer(
        lambda request: Reply(400 if request.headers["x-walrelay-key"] == "bad" else 200)
    )
    process = relay(to_http(db, receiver, on_event_error="halt")).wait_ready()
    bad = insert(db, "t", "bad")
    insert(db, "t", "bad")
    insert(db, "t", "good")
    until(lambda: process.delivered("endpoint") == 1, what="the other key goes on")
    assert process.ready(), "one refusal says little"
    text = process.wait_not_ready("halted", 30)
    for part in (bad, "walrelay.outbox", "LSN", "HTTP 400", "key bad"):
        assert part in text, text
    process.wait_log(f"halted on .*{bad}")
    tried = [request for request in receiver.requests if request.headers["webhook-id"] == bad]
    assert [request.headers["x-walrelay-attempt"] for request in tried] == ["1", "2", "3"]
    assert tried[2].at - tried[0].at >= 9.9
    insert(db, "t", "good")
    until(lambda: process.status()["in_flight_events"] == 3, what="the next row is read")
    stays(lambda: len(receiver.requests) == 4, 0.5, "nothing more is sent")
    assert process.running() and process.status()["state"] == "halted"


def test_a_redirect_is_never_followed(db, receiver, other_receiver, relay):
    """C7."""
    location = f"http://user:secret@127.0.0.1:{other_receiver.port}/elsewhere"
    receiver.answer(Reply(307, {"location": location}))
    process = relay(to_http(db, receiver)).wait_ready()
    insert(db, "t", "k")
    text = process.wait_not_ready("307")
    assert "sink endpoint" in text and "redirect" in text and "secret" not in text, text
    assert f"127.0.0.1:{other_receiver.port}" in text
    receiver.wait_for(2)
    assert other_receiver.connections == 0
    assert {request.path for request in receiver.requests} == {"/in"}
    receiver.answer(Reply())
    until(lambda: process.delivered("endpoint") == 1, 90, "it is delivered")
    assert other_receiver.requests == []
    assert "secret" not in process.log()


@pytest.mark.parametrize("keys", [1, 40])
def test_an_endpoint_that_closes_each_connection_loses_nothing_and_needs_no_second_attempt(
    db, receiver, relay, keys
):
    """C4."""
    receiver.answer(Reply(closes=True))
    process = relay(to_http(db, receiver, http={"connections": 4})).wait_ready()
    for first in range(0, 400, 20):
        emit(db, first, first + 19, keys=keys)
    until(lambda: process.delivered("endpoint") == 400, 20, "all are delivered")
    assert {request.headers["x-walrelay-attempt"] for request in receiver.requests} == {"1"}
    assert sorted(numbers(receiver.requests)) == list(range(400))
    for log in by_key(receiver.requests).values():
        assert log == sorted(log)
    retried = process.status()["sinks"][0]["retried"]
    assert set(retried.values()) == {0}, retried
