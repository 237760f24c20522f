"""Messages of pg_logical_emit_message: events without a table."""

import contextlib
import json

import pytest

from support.events import emit, outbox_to, to_http
from support.parked import wait_set_aside
from support.parked import mark
from support.receiver import Reply
from support.relay import config
from support.wait import until


def from_messages(db, receiver, prefix="walrelay", **route):
    """The outbox and the messages of one prefix, each to a path of its own."""
    return config(
        db,
        {
            "rows": {"http": {"url": receiver.url + "/rows"}},
            "messages": {"http": {"url": receiver.url + "/messages"}},
        },
        [outbox_to("rows"), {"from": f"message:{prefix}", "to": "messages", **route}],
    )


def say(db, content, prefix="walrelay", transactional=False):
    return db.value(
        "SELECT pg_logical_emit_message(%s, %s, %s)", [transactional, prefix, content]
    )


def of(receiver, path):
    return [request for request in receiver.requests if request.path == path]


@pytest.mark.every_major
def test_what_emit_wal_writes_arrives_as_an_event_without_a_table(db, receiver, relay):
    process = relay(from_messages(db, receiver)).wait_ready()
    db.sql(
        "SELECT walrelay.emit_wal('orders', '{\"n\": 1.10}', key => 'k', type => 'made',"
        " headers => '{\"tenant\": \"7\"}')"
    )
    [request] = receiver.wait_for(1)
    assert request.path == "/messages"
    assert json.loads(request.body) == {"n": 1.1} and b"1.10" in request.body
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-walrelay-key"] == "k"
    assert request.headers["x-walrelay-type"] == "made"
    assert request.headers["tenant"] == "7"
    assert len(request.headers["webhook-id"]) == 36
    process.wait_settled()
    assert db.value("SELECT count(*) FROM walrelay.outbox") == 0


@pytest.mark.every_major
def test_messages_and_rows_of_one_transaction_arrive_and_none_of_a_rolled_back_one(
    db, receiver, relay
):
    process = relay(from_messages(db, receiver)).wait_ready()
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        cursor = connection.cursor()
        emit(db, 1, 2, cursor=cursor)
        cursor.execute("SELECT walrelay.emit_wal('t', '3', key => 'k')")
        connection.rollback()
        emit(db, 4, cursor=cursor)
        cursor.execute("SELECT walrelay.emit_wal('t', '5', key => 'k')")
        cursor.execute("SELECT walrelay.emit_wal('t', '6', key => 'k')")
        connection.commit()
    receiver.wait_for(3)
    process.wait_settled()
    assert len(of(receiver, "/rows")) == 1
    assert [request.body for request in of(receiver, "/messages")] == [b"5", b"6"]


@pytest.mark.every_major
def test_a_message_outside_a_transaction_is_acknowledged_by_itself(db, receiver, relay):
    process = relay(from_messages(db, receiver)).wait_ready()
    say(db, '{"id": "one", "topic": "t", "payload": {"n": 1}}')
    receiver.wait_for(1)
    process.wait_settled()
    assert process.stop() == 0
    process.start(wait=True)
    say(db, '{"id": "two", "topic": "t", "payload": {"n": 2}}')
    receiver.wait_for(2)
    process.wait_settled()
    assert [request.headers["webhook-id"] for request in receiver.requests] == ["one", "two"]


def test_a_message_that_is_not_ours_is_the_body_as_it_is(db, receiver, relay):
    relay(from_messages(db, receiver, "shop")).wait_ready()
    say(db, '{"n": 1}', prefix="shop")
    say(db, "just text", prefix="shop", transactional=True)
    # Without a key they are sent beside each other.
    first, second = sorted(receiver.wait_for(2), key=lambda one: one.body, reverse=True)
    assert (first.body, second.body) == (b'{"n": 1}', b"just text")
    assert first.headers["content-type"] == "application/octet-stream"
    assert "x-walrelay-key" not in first.headers
    assert first.headers["webhook-id"].endswith("-m")
    assert second.headers["webhook-id"].endswith("-m0")


def test_a_message_of_nearly_event_bytes_that_was_parked_is_redriven(db, receiver, relay):
    receiver.answer(lambda request: Reply(400 if request.path == "/messages" else 200))
    settings = from_messages(db, receiver, "shop")
    process = relay({**settings, "limits": {"event_bytes": "10KiB"}}).wait_ready()
    content = "not JSON " * 1000
    say(db, content, prefix="shop")
    until(lambda: db.sql("SELECT state FROM walrelay.parked") == [("parked",)], 30, "it is parked")
    receiver.answer(Reply())
    mark(db, process.file, "redrive", "--all")
    until(lambda: db.sql("SELECT state FROM walrelay.parked") == [("delivered",)], 15, "redriven")
    assert {one.body for one in of(receiver, "/messages")} == {content.encode()}


def test_the_id_of_a_message_is_the_same_after_a_crash(db, receiver, relay):
    gate = receiver.gate()
    receiver.answer(lambda request: Reply(gate=gate))
    process = relay(from_messages(db, receiver, "shop")).wait_ready()
    say(db, "first", prefix="shop")
    say(db, "second", prefix="shop", transactional=True)
    until(lambda: len(receiver.requests) == 2, what="both are on the wire")
    before = {request.body: request.headers["webhook-id"] for request in receiver.requests}
    process.kill9()
    gate.open()
    receiver.requests.clear()
    process.start(wait=True)
    receiver.wait_for(2)
    process.wait_settled()
    after = {request.body: request.headers["webhook-id"] for request in receiver.requests}
    assert after == before


def test_messages_are_taken_only_where_a_route_names_their_prefix(db, receiver, relay):
    process = relay(from_messages(db, receiver, "shop")).wait_ready()
    say(db, "of nobody", prefix="walrelay")
    say(db, "of nobody", prefix="shop2", transactional=True)
    say(db, "of us", prefix="shop")
    receiver.wait_for(1)
    process.wait_settled()
    assert [request.body for request in receiver.requests] == [b"of us"]
    assert process.ready()


def test_without_a_route_for_messages_none_disturbs_the_stream(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    say(db, "of nobody")
    say(db, "of nobody", transactional=True)
    emit(db, 1)
    receiver.wait_for(1)
    process.wait_settled()
    assert len(receiver.requests) == 1


def test_messages_alone_let_the_slot_move_on(db, receiver, relay):
    process = relay(from_messages(db, receiver)).wait_ready()
    for number in range(100):
        say(db, json.dumps({"topic": "t", "payload": number}))
    receiver.wait_for(100)
    process.wait_settled()
    position = db.wal_position()
    emit(db, 1)
    receiver.wait_for(101)
    process.wait_settled()
    until(lambda: db.slot_state()[1] >= position, what="the slot has moved past the messages")


def test_a_message_that_no_route_takes_is_set_aside_by_name(db, receiver, relay):
    process = relay(from_messages(db, receiver, where={"topic": "billing.*"})).wait_ready()
    say(db, json.dumps({"id": "bad", "topic": "orders", "payload": 1}))
    say(db, json.dumps({"topic": "billing.made", "payload": 2}))
    assert [one.body for one in receiver.wait_for(1)] == [b"2"]
    row = wait_set_aside(db, "bad")
    assert (row["source_table"], row["sink"], row["state"]) == ("message:walrelay", "", "parked")
    assert "no route takes" in row["error"], row
    process.wait_settled()
    assert process.ready() and process.status()["parked_without_route"] == 1


def test_a_message_that_no_route_takes_halts_by_name(db, receiver, relay):
    settings = from_messages(db, receiver, where={"topic": "billing.*"})
    process = relay({**settings, "on_event_error": "halt"}).wait_ready()
    say(db, json.dumps({"id": "bad", "topic": "orders", "payload": 1}))
    text = process.wait_not_ready("halted on")
    assert "message:walrelay" in text and "no route takes" in text


def test_messages_of_any_bytes_and_a_megabyte_arrive_whole(db, receiver, relay):
    relay(from_messages(db, receiver, "shop")).wait_ready()
    bodies = [bytes(range(256)), b"\x00", b'{"id": "x\xff"}', b"[" * 100_000, b"z" * 500_000]
    with contextlib.closing(db.conn()) as connection:
        for body in bodies:
            connection.cursor().execute(
                "SELECT pg_logical_emit_message(true, 'shop', %s::bytea)", [body]
            )
    found = receiver.wait_for(len(bodies))
    assert sorted(request.body for request in found) == sorted(bodies)
